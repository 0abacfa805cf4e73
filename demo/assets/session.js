// Gradio names its own few words by the browser's language; here the page's language decides, which a person may choose.
// (Put into the page by demo/page_html.py, so that it runs before Gradio's scripts.) And a page whose session has ended (logged out, or somebody else logged in) is loaded again, at most every ten seconds.
(() => {
  const language = window.nightschoolLanguage;
  document.documentElement.lang = language;
  Object.defineProperty(navigator, 'language', { get: () => language });
  Object.defineProperty(navigator, 'languages', { get: () => [language] });

  const AGAIN = 'nightschool-loaded-again';
  const plain = window.fetch;
  window.fetch = async (...call) => {
    const answer = await plain(...call);
    const url = new URL(call[0]?.url ?? call[0], location.href);
    const isEnded = answer.status === 401 || answer.status === 403;
    if (isEnded && url.origin === location.origin && url.pathname.includes('/gradio_api/')) {
      const last = Number(sessionStorage.getItem(AGAIN) || 0);
      if (Date.now() - last > 10_000) {
        sessionStorage.setItem(AGAIN, String(Date.now()));
        location.reload();
      }
    }
    return answer;
  };
})();
