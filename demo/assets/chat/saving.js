// Saves that the server must confirm. Each has a number; the answer comes back as the prop `ack` with that number. What
// was not confirmed in time is told as not saved, and the person's words stay where they are: saving again is harmless.
const PATIENCE = 10000; // milliseconds
const waiting = new Map(); // number -> what to do with the answer
let saves = 0;

const save = (event, data, settled) => {
  const number = ++saves;
  const settle = (answer) => {
    if (!waiting.delete(number)) return;
    clearTimeout(timer);
    settled(answer);
  };
  const timer = setTimeout(() => settle({ ok: false, error: words.not_saved }), PATIENCE);
  waiting.set(number, settle);
  trigger(event, { ...data, number });
};

window.nightschoolUnheard = words.unheard;
window.addEventListener('nightschool:unheard', () => {
  for (const settle of [...waiting.values()]) settle({ ok: false, error: words.not_saved });
});
watch('ack', () => waiting.get(props.ack?.number)?.(props.ack));
