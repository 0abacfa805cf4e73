() => {
  // Keys judge an open duel: 1 left, 2 right, 0 tie, - both bad, s skip. Ignored while somebody types. Esc stops.
  const votes = { '1': 'left', '2': 'right', '0': 'tie', '-': 'both_bad', 's': 'skip' };
  const press = (button, event) => {
    if (!button || button.disabled || !button.offsetParent) return;
    event.preventDefault();
    button.click();
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
    if (event.key === 'Escape' && !event.defaultPrevented) press(document.querySelector('#box .stop-button'), event);
    if (event.target.closest('input, textarea, select, [contenteditable=true]')) return;
    press(document.getElementById(`vote-${votes[event.key]}`), event);
  });
}
