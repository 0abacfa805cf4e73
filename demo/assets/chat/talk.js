// The conversation: messages, the duel, an empty page's examples, and where the page stands while they change.
const scroller = el('div', { class: 'talk-scroll', role: 'log', 'aria-label': words.conversation, tabindex: '0' });
const list = el('div', { class: 'turns' });
const earlierCount = el('span');
const earlierLine = el(
  'p', { class: 'earlier-line', hidden: true }, earlierCount, textButton(words.show_earlier, () => lookBack()),
);
const toEnd = tool('end', words.to_end, () => goToEnd('smooth'), { id: 'to-end', hidden: true });
const parts = new Map(); // id -> a message on the page
let shown = ''; // id of the conversation on the page
let asked = ''; // id of the newest question on the page
let restored = false; // whether what was being written before a reload is back
let follow = true; // whether the page goes along with what is written
let held = null; // how far above the end the page stands while earlier messages are asked for

const busy = () => props.value.busy;

// When an answer does not go on, the server may have been started anew. Once it is there and says that nobody writes any
// more, the page is loaded anew: Gradio's client still waits for the answer of the server that is gone.
const STILL = 4000; // milliseconds
let movedAt = Date.now();
setInterval(async () => {
  if (!busy() || Date.now() - movedAt < STILL) return;
  const health = await fetch('/healthz').catch(() => null);
  if (health?.ok && busy() && Date.now() - movedAt >= STILL) trigger('waited', {});
}, 2500);

const welcome = el(
  'div', { class: 'welcome' }, el('h2', {}, words.hello), el('p', {}, words.hello_line),
  el(
    'div', { class: 'examples' },
    ...props.examples.map(([title, text]) =>
      el('button', { type: 'button', onclick: () => ask(text) },
        el('b', {}, title), el('span', {}, text)),
    ),
  ),
);

const ask = (text) => {
  if (busy()) return;
  echo(text);
  trigger('exampled', { text });
};

const lookBack = () => {
  if (busy() || held !== null) return;
  follow = false;
  held = scroller.scrollHeight - scroller.scrollTop;
  trigger('lookedback', {});
};

const goToEnd = (behavior) => scroller.scrollTo({ top: scroller.scrollHeight, behavior });

// Change the page without moving what is being read: at the end it stays at the end, elsewhere it stays where it is.
const keepInPlace = (change) => {
  const stay = follow;
  change();
  if (stay) goToEnd('instant');
};

// A question on its way is shown at once, also while it waits for its turn; what is stored takes its place.
const onItsWay = el('article', { class: 'turn user asked' }, el('div', { class: 'said users-own' }));
const echo = (text) => {
  if (!text?.trim() || busy() || props.value.duel) return;
  setText(onItsWay.firstChild, text.trim());
  follow = true;
  held = null;
  keepInPlace(() => {
    welcome.hidden = true;
    list.append(onItsWay);
  });
};
window.addEventListener('nightschool:asked', (event) => echo(event.detail));
window.addEventListener('nightschool:unasked', () => draw());

// Another conversation counts from the click on, not from the server's answer: what is sent in between goes to it.
const fill = (field, text) => {
  if (!field || field.value === text) return;
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
};
window.addEventListener('nightschool:chosen', ({ detail: id }) => {
  fill(document.querySelector('#conversation-id :is(textarea, input)'), id);
  const nothing = { turns: [], duel: null, dueling: false, hidden: 0, busy: false };
  props.value = { ...nothing, ready: !id, conversation: id, drawn: `${id}${Date.now()}` };
  draw();
});
document.addEventListener('click', (event) => {
  if (!element.isConnected || !event.target.closest?.('#new')) return;
  fill(boxArea(), ''); // at the click: an answer would take away what is being written by then
  window.dispatchEvent(new CustomEvent('nightschool:chosen', { detail: '' }));
}, true);

scroller.addEventListener('scroll', () => {
  follow = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48;
  toEnd.hidden = follow;
});

const draw = () => {
  const { value } = props;
  movedAt = Date.now();
  const question = value.turns.filter((turn) => turn.role === 'user').at(-1)?.id ?? '';
  if (value.conversation !== shown || (question !== asked && busy())) follow = true;
  [shown, asked] = [value.conversation, question];
  keepInPlace(() => {
    const wanted = value.turns.map((turn) => {
      if (!parts.has(turn.id)) parts.set(turn.id, makeTurn(turn));
      const part = parts.get(turn.id);
      fillTurn(part, turn);
      return part.node;
    });
    const ids = new Set(value.turns.map((turn) => turn.id));
    for (const id of parts.keys()) if (!ids.has(id)) parts.delete(id);
    arrange(list, wanted);
    earlierLine.hidden = !value.hidden;
    setText(earlierCount, say('hidden', { count: value.hidden }));
    welcome.hidden = value.turns.length > 0 || !value.ready;
    drawDuel();
    scroller.setAttribute('aria-busy', String(busy()));
  });
  if (held !== null) scroller.scrollTop = scroller.scrollHeight - held;
  held = null;
  if (value.ready && !restored) {
    restored = true;
    restoreUnsent();
  }
};

const drawDraft = () => {
  const { draft } = props;
  if (!busy() || !draft) return;
  movedAt = Date.now();
  keepInPlace(() => {
    if (draft.id === 'duel') for (const side of ['left', 'right']) showSide(side, draft[side]);
    else if (parts.has(draft.id)) {
      const part = parts.get(draft.id);
      part.node.classList.toggle('writing', !draft.html);
      setHtml(part.body, draft.html);
    }
  });
};

// While an answer is written Enter in the box would be a second question at once: it waits in the box.
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || !element.isConnected) return;
  if (busy() && event.target.closest?.('#box')) {
    event.preventDefault();
    event.stopPropagation();
  }
}, true);
document.addEventListener('keypress', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && busy() && event.target.closest?.('#box')) event.stopPropagation();
}, true);

// The page takes the height that the window leaves, whatever stands above it.
const fit = () => {
  const page = element.closest('#chat-page');
  page?.style.setProperty('--above', `${page.getBoundingClientRect().top + window.scrollY}px`);
  if (follow) goToEnd('instant');
};
new ResizeObserver(fit).observe(document.body);
new ResizeObserver(() => follow && goToEnd('instant')).observe(scroller);

scroller.append(welcome, earlierLine, list, duelCards);
element.firstElementChild.append(scroller, toEnd, duelBar);
document.querySelector('#sidebar .toggle-button')?.setAttribute('aria-label', words.sidebar);
watch('value', draw);
watch('draft', drawDraft);
watch('still', () => busy() && location.reload());
draw();
fit();
