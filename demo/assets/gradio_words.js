// Puts our words in the place of those that Gradio has fixed in English (demo/gradio_words.py).
(() => {
  const words = window.nightschoolGradioWords;
  const LABELLED = '.toast-close, .toggle-button';
  const WRITTEN = '.toast-title, [data-testid="toast-text"]';

  const relabel = () => {
    for (const element of document.querySelectorAll(LABELLED)) {
      const word = words[element.getAttribute('aria-label')];
      if (word && word !== element.getAttribute('aria-label')) element.setAttribute('aria-label', word);
    }
    for (const element of document.querySelectorAll(WRITTEN)) {
      const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      while (texts.nextNode()) {
        const text = texts.currentNode;
        const word = words[text.data.trim()];
        if (word && word !== text.data.trim()) text.data = `${word} `;
      }
    }
  };

  new MutationObserver(relabel).observe(document.documentElement, { childList: true, subtree: true });
})();
