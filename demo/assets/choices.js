// What the page shows is its person's choice. An answer that was asked for before they chose another conversation, or
// before they asked something new, belongs to what is not on the page any more: what it would draw is dropped here, before
// Gradio puts it in. Only events that draw the whole conversation are looked at; saves are confirmed whenever that comes.
//
// An answer that is being written when another conversation is chosen is stopped here too, and not by Gradio's `cancels`:
// its client (6.31) closes the stream of all events for that, starts the event's `failure` as if it had failed, and forgets
// the event that was started in its place.
(() => {
  const plain = window.fetch;
  const pending = new Map(); // id of an event in the queue -> how it was asked for
  const over = new Set(); // ids of which Gradio has been told that they are over
  let choice = 0;
  let tell = null; // puts a message into the stream that is being read

  const outputsOf = (index) => {
    const { components = [], dependencies = [] } = window.gradio_config ?? {};
    const shown = components.find(({ props }) => props?.elem_id === 'conversation-id')?.id;
    const outputs = dependencies.find(({ id }) => id === index)?.outputs ?? [];
    return shown !== undefined && outputs.includes(shown) ? outputs.length : 0;
  };
  const unchanged = (count) => Array.from({ length: count }, () => ({ __type__: 'update' }));
  const isLate = (asked) => asked.choice !== choice;

  // The end of an event that changes nothing; the server's own messages about it are dropped from then on.
  const ending = (id) => {
    const output = { data: unchanged(pending.get(id).outputs), is_generating: false };
    pending.delete(id);
    over.add(id);
    return `data: ${JSON.stringify({ msg: 'process_completed', event_id: id, success: true, output })}`;
  };

  const stop = (id, { url, session_hash, fn_index }) =>
    plain(url.replace(/queue\/join.*/, 'cancel'), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ session_hash, fn_index, event_id: id }),
    }).catch(() => console.warn('An answer that nobody waits for could not be stopped: the server did not answer.'));

  const drop = (id) => {
    stop(id, pending.get(id));
    tell?.(ending(id));
  };
  window.addEventListener('nightschool:asked', () => {
    choice += 1;
  });
  window.addEventListener('nightschool:chosen', () => {
    choice += 1;
    for (const id of [...pending.keys()]) drop(id);
  });

  const sifted = (message) => {
    if (!message.startsWith('data:')) return message;
    const { event_id: id, msg } = JSON.parse(message.slice(5));
    if (over.has(id)) return '';
    if (!pending.has(id)) return message;
    // A late event goes on to its end unseen. If the page were told earlier that it is over, its client might close the
    // stream, and the server drops all events of a page that hangs up: also the question that was just asked.
    const late = isLate(pending.get(id));
    if (msg !== 'process_completed') return late && msg === 'process_generating' ? '' : message;
    if (late) return ending(id);
    pending.delete(id);
    return message;
  };

  const sift = (answer) => {
    const [decoder, encoder] = [new TextDecoder(), new TextEncoder()];
    let rest = '';
    let mine = null;
    const sieve = new TransformStream({
      start(out) {
        tell = mine = (message) => out.enqueue(encoder.encode(`${message}\n\n`));
      },
      transform(chunk) {
        const messages = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
        rest = messages.pop();
        for (const message of messages.map(sifted).filter(Boolean)) mine(message);
      },
    });
    // However a stream ends (its end, the client closing it, the server gone), nothing more can be put into it.
    const ended = () => {
      if (tell === mine) tell = null;
    };
    answer.body.pipeTo(sieve.writable).then(ended, ended); // who reads the stream is told of the fault by the stream
    return new Response(sieve.readable, answer);
  };

  window.fetch = async (...call) => {
    const url = String(call[0]?.url ?? call[0]);
    const { pathname: path } = new URL(url, location.href);
    const isAsking = /\/(run\/predict|queue\/join)$/.test(path);
    const { fn_index, session_hash } = isAsking ? JSON.parse(call[1].body) : {};
    const asked = { choice, url, fn_index, session_hash, outputs: isAsking ? outputsOf(fn_index) : 0 };
    const answer = await plain(...call);
    if (!answer.ok) return answer;
    if (path.endsWith('/queue/data')) return sift(answer);
    if (!asked.outputs) return answer;
    const told = await answer.clone().json();
    if (path.endsWith('/queue/join')) {
      pending.set(told.event_id, asked);
      if (isLate(asked)) stop(told.event_id, asked);
    } else if (isLate(asked)) {
      return new Response(JSON.stringify({ ...told, data: unchanged(asked.outputs) }), answer);
    }
    return answer;
  };
})();
