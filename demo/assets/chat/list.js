// The conversations of a person: by day, or as found; each can be opened, renamed and deleted.
const LONGEST = 200; // entries drawn without a search
const box = el('input', {
  type: 'search', id: 'search', placeholder: words.search, 'aria-label': words.search, autocomplete: 'off',
});
const entries = el('div', { class: 'entries' });
const bar = el('div', { class: 'undo-bar', role: 'status' });
let searching = 0;
let hiding = 0;
let renaming = ''; // id of the conversation whose title is being written

const closeOnPhone = () => {
  if (window.innerWidth < 768) document.querySelector('#sidebar.open .toggle-button')?.click();
};

const dayOf = (iso) => {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const days = (midnight - new Date(iso).setHours(0, 0, 0, 0)) / 86400000;
  return days < 0.5 ? 'today' : days < 1.5 ? 'yesterday' : days < 7.5 ? 'this_week' : 'older';
};

// The page turns to a conversation at the click (talk.js, style.js, choices.js); what it says comes by the answer.
const choose = (id) => window.dispatchEvent(new CustomEvent('nightschool:chosen', { detail: id }));

const row = (entry) => {
  const open = el(
    'button',
    { type: 'button', class: 'open users-own', title: entry.title, 'aria-label': entry.title, 'data-id': entry.id,
      'aria-current': entry.id === props.value.current ? 'true' : null,
      onclick: () => {
        choose(entry.id);
        trigger('opened', { id: entry.id });
        closeOnPhone();
      } },
    el('span', { class: 'entry-title' }, entry.title),
    ...(entry.excerpt ? [el('span', { class: 'excerpt' }, entry.excerpt)] : []),
  );
  const { title } = entry;
  const rename = tool('pen', say('rename', { title }), () => startRename(entry));
  const remove = tool('bin', say('delete', { title }), () => trigger('removed', { id: entry.id, title }));
  return el('li', { 'data-id': entry.id }, open, el('span', { class: 'entry-tools' }, rename, remove));
};

const startRename = (entry) => {
  renaming = entry.id;
  const item = entries.querySelector(`li[data-id="${CSS.escape(entry.id)}"]`);
  let ended = false;
  const end = (keep) => {
    if (ended) return;
    ended = true;
    renaming = '';
    const title = field.value.trim();
    if (keep && title && title !== entry.title) {
      entry.title = title;
      trigger('renamed', { id: entry.id, title });
    }
    draw();
  };
  const field = el('input', {
    type: 'text', class: 'rename', 'aria-label': words.title, maxlength: 200, onblur: () => end(true),
    onkeydown: (event) => {
      if (event.isComposing || !['Enter', 'Escape'].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      end(event.key === 'Enter');
    },
  });
  field.value = entry.title;
  item.replaceChildren(field);
  field.focus();
  field.select();
};

const query = () => box.value.trim();

const draw = () => {
  if (renaming) return;
  const { found, value } = props;
  const isSearch = query() !== '';
  if (isSearch && found?.query !== query()) return; // its answer is on the way
  const all = isSearch ? found.entries : value.entries;
  const drawn = [];
  let day = '';
  for (const entry of all.slice(0, LONGEST)) {
    if (!isSearch && dayOf(entry.at) !== day) {
      day = dayOf(entry.at);
      drawn.push(el('h3', {}, words[day]), el('ul'));
    }
    if (isSearch && !drawn.length) drawn.push(el('ul'));
    drawn.at(-1).append(row(entry));
  }
  if (all.length > LONGEST) drawn.push(el('p', { class: 'quiet' }, words.more_by_search));
  if (!all.length) {
    const text = isSearch ? say('nothing_found', { words: query() }) : value.ready ? words.no_conversations : '';
    drawn.push(el('p', { class: 'quiet' }, text));
  }
  const focused = document.activeElement?.closest?.('#conversations .open')?.dataset.id;
  entries.replaceChildren(...drawn);
  if (focused) entries.querySelector(`.open[data-id="${CSS.escape(focused)}"]`)?.focus();
};

const drawUndo = () => {
  const { gone } = props;
  clearTimeout(hiding);
  bar.replaceChildren();
  if (!gone?.id) return;
  const undo = () => {
    bar.replaceChildren();
    choose(gone.id);
    trigger('restored', { id: gone.id });
  };
  bar.append(el('span', {}, words.deleted), textButton(words.undo, undo, { class: 'undo' }));
  hiding = setTimeout(() => bar.replaceChildren(), 20000);
};

const search = () => {
  clearTimeout(searching);
  searching = setTimeout(() => (query() ? trigger('searched', { query: query() }) : draw()), query() ? 200 : 0);
};

box.addEventListener('input', search);
box.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || !box.value) return;
  event.stopPropagation();
  box.value = '';
  search();
});
element.firstElementChild.append(box, entries, bar);
element.firstElementChild.setAttribute('aria-label', words.your_conversations);
watch('value', () => (query() ? search() : draw())); // titles may have changed: search anew
watch('found', draw);
watch('gone', drawUndo);
draw();
