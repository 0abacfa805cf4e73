() => {
  // Keys judge an open duel: 1 left, 2 right, 0 tie, - both bad. Ignored while somebody types.
  const votes = { '1': 'left', '2': 'right', '0': 'tie', '-': 'both_bad' };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest('input, textarea, select, [contenteditable=true]')) return;
    const button = document.getElementById(`vote-${votes[event.key]}`);
    if (button && !button.disabled && button.offsetParent) {
      event.preventDefault();
      button.click();
    }
  });
}
