// Gradio's client (6.31) can lose an answer: it reads all answers from one event stream, which the server ends when
// nothing is pending. A click sent in that moment is taken for covered by the stream that is about to end, so its
// answer (a vote's "Saved") waits unread until the next click. Here the reply to a click is handed on only once the
// open stream has spoken of it, or has been closed by the client, which then opens a new one.
(() => {
  const LONGEST_WAIT = 1000; // milliseconds
  const plain = window.fetch;
  let open = null; // the stream being read

  const readAlong = (answer, signal) => {
    const stream = { heard: new Set(), closed: false, listeners: new Set() };
    const tell = () => stream.listeners.forEach((listener) => listener());
    const decoder = new TextDecoder();
    let tail = '';
    const spy = new TransformStream({
      transform(chunk, out) {
        const text = tail + decoder.decode(chunk, { stream: true });
        for (const [, id] of text.matchAll(/"event_id":"(\w+)"/g)) stream.heard.add(id);
        tail = text.slice(-100); // an id may be cut in two
        tell();
        out.enqueue(chunk);
      },
    });
    signal?.addEventListener('abort', () => {
      stream.closed = true;
      if (open === stream) open = null;
      tell();
    });
    open = stream;
    return new Response(answer.body.pipeThrough(spy), answer);
  };

  const settled = (stream, id) =>
    new Promise((resolve) => {
      const done = () => {
        stream.listeners.delete(check);
        clearTimeout(timer);
        resolve();
      };
      const check = () => {
        if (stream.closed || stream.heard.has(id)) done();
      };
      const timer = setTimeout(done, LONGEST_WAIT);
      stream.listeners.add(check);
      check();
    });

  // A click that the server did not hear is an error in a sentence. (Gradio would take it for a lost connection and load
  // the page anew, and what the person was writing would be gone.)
  const unheard = (path) => {
    window.dispatchEvent(new Event(path.endsWith('/join') ? 'nightschool:unasked' : 'nightschool:unheard'));
    return new Response(JSON.stringify({ error: window.nightschoolUnheard }), { status: 500 });
  };

  window.fetch = async (...call) => {
    const path = new URL(call[0]?.url ?? call[0], location.href).pathname;
    let answer;
    try {
      answer = await plain(...call);
    } catch (error) {
      if (window.nightschoolUnheard && /\/(run\/predict|queue\/join)$/.test(path)) return unheard(path);
      throw error;
    }
    if (answer.ok && path.endsWith('/queue/data')) return readAlong(answer, call[1]?.signal ?? call[0]?.signal);
    if (answer.ok && path.endsWith('/queue/join') && open) await settled(open, (await answer.clone().json()).event_id);
    return answer;
  };
})();
