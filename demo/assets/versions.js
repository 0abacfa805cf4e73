// The buttons of the Versions page, and the sheet above it. What they say comes from the server as text that is safe.
element.addEventListener('click', (event) => {
  const button = event.target.closest?.('button[data-act]');
  if (!button || button.disabled) return;
  for (const other of element.querySelectorAll('dialog button[data-act]')) other.disabled = true;
  trigger('chosen', { ...button.dataset });
});

// A modal dialog of the browser: it keeps the focus, closes on Escape, and gives the focus back.
const dialog = element.querySelector('dialog');
if (dialog) {
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog || event.target.closest('[data-close]')) dialog.close();
  });
  const draw = () => {
    const { html = '' } = props.value || {};
    if (!html) {
      dialog.close();
      return;
    }
    dialog.innerHTML = html;
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    dialog.querySelector('[data-close]').focus({ preventScroll: true });
  };
  watch('value', draw);
}
