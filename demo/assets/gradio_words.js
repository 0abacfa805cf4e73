// Puts our words in the place of those that Gradio has fixed in English (demo/gradio_words.py).
(() => {
  const words = window.nightschoolGradioWords;
  const LABELLED = '.toast-close, .toggle-button';
  const WRITTEN = '.toast-title';

  const relabel = () => {
    for (const element of document.querySelectorAll(LABELLED)) {
      const word = words[element.getAttribute('aria-label')];
      if (word && word !== element.getAttribute('aria-label')) element.setAttribute('aria-label', word);
    }
    for (const element of document.querySelectorAll(WRITTEN)) {
      const text = element.firstChild;
      const word = text?.nodeType === Node.TEXT_NODE && words[text.data.trim()];
      if (word && word !== text.data.trim()) text.data = `${word} `;
    }
  };

  new MutationObserver(relabel).observe(document.documentElement, { childList: true, subtree: true });
})();
