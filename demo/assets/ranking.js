// Answers to be put in order: by dragging, by buttons, by keys. `props.value` is what the server knows of the round, the
// order on screen is the person's until it is saved. All texts of people and models are set by textContent.
const say = (key, values = {}) =>
  props.words[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
const find = (selector) => element.querySelector(selector);
const make = (tag, className, text = '') => {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
};
const list = find('ol');
const calm = window.matchMedia('(prefers-reduced-motion: reduce)');
let round = null; // the round on screen
let phase = 'empty'; // empty, writing, ready, sent, revealed
let tied = new Set(); // names of answers that are as good as the one above
const left = new Set(); // rounds skipped in this tab: what is still on its way about them is not drawn
let drag = null;

const cards = () => [...list.children];
const cardOf = (node) => node.closest('.rank-card');
const place = (card) => cards().indexOf(card);
const groups = () => {
  const found = [];
  for (const card of cards()) {
    if (found.length && tied.has(card.dataset.name)) found.at(-1).push(card.dataset.name);
    else found.push([card.dataset.name]);
  }
  return found;
};

// The order on screen stays with the tab, so that it outlives a reload and a lost connection.
const KEPT = 'nightschool-order';
const keep = () => sessionStorage.setItem(KEPT, JSON.stringify({ round, groups: groups() }));
const orderOf = (value) => {
  const given = value.groups || [];
  const last = JSON.parse(sessionStorage.getItem(KEPT) || '{"groups":[]}');
  const names = (order) => String(order.flat().sort());
  return last.round === value.round && names(last.groups) === names(given) ? last.groups : given;
};

// ---- texts: paragraphs, code between ``` and between `, bold between ** -----------------------------------------

const inline = (text) =>
  text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).map((part, number) => {
    if (number % 2 === 0) return document.createTextNode(part);
    return part[0] === '`' ? make('code', '', part.slice(1, -1)) : make('strong', '', part.slice(2, -2));
  });
const written = (text) =>
  text.split(/^```/m).flatMap((part, number) => {
    if (number % 2) return [make('pre', '', part.replace(/^[^\n]*\n/, '').trimEnd())];
    return part.split(/\n{2,}/).filter((paragraph) => paragraph.trim()).map((paragraph) => {
      const made = make('p', '');
      made.append(...inline(paragraph.trim()));
      return made;
    });
  });

// ---- cards ------------------------------------------------------------------------------------------------------

const makeCard = (name) => {
  const card = make('li', 'rank-card');
  card.dataset.name = name;
  card.tabIndex = 0;
  const rail = make('div', 'rank-rail');
  rail.append(make('b', 'rank-place'), make('span', 'rank-grip'));
  rail.title = say('drag');
  const moves = make('div', 'rank-moves');
  for (const [className, sign, key] of [['rank-up', '↑', 'up'], ['rank-down', '↓', 'down']]) {
    const button = make('button', className, sign);
    button.type = 'button';
    button.title = say(key);
    button.setAttribute('aria-label', say(key));
    moves.append(button);
  }
  const tie = make('button', 'rank-tie', say('tie'));
  tie.type = 'button';
  card.append(tie, rail, make('div', 'rank-text users-own'), moves, make('p', 'rank-version'));
  return card;
};

const number = () => {
  let best = 1;
  cards().forEach((card, at) => {
    const isTied = at > 0 && tied.has(card.dataset.name);
    if (!isTied) best = at + 1;
    const next = cards()[at + 1];
    const shares = isTied || (next && tied.has(next.dataset.name));
    card.classList.toggle('is-tied', isTied);
    card.querySelector('.rank-place').textContent = best;
    card.setAttribute('aria-label', say(shares ? 'place_tied' : 'place', { place: best, count: cards().length }));
    card.querySelector('.rank-tie').setAttribute('aria-pressed', isTied);
    card.querySelector('.rank-tie').hidden = at === 0;
    card.querySelector('.rank-up').disabled = phase !== 'ready' || at === 0;
    card.querySelector('.rank-down').disabled = phase !== 'ready' || !next;
    card.querySelector('.rank-tie').disabled = phase !== 'ready';
  });
};

const told = (text) => { find('.rank-told').textContent = text; };

// Let cards glide to their new places instead of jumping.
const glide = (change) => {
  const before = new Map(cards().map((card) => [card, card.getBoundingClientRect().top]));
  change();
  number();
  if (calm.matches) return;
  for (const [card, top] of before) {
    const moved = top - card.getBoundingClientRect().top;
    if (moved && card !== drag?.card) {
      card.animate([{ transform: `translateY(${moved}px)` }, { transform: 'none' }], { duration: 160, easing: 'ease-out' });
    }
  }
};

// A card that moves is no longer tied to the one above; what was tied to it is now tied to what it left.
const put = (card, to) => {
  const others = cards().filter((other) => other !== card);
  const target = Math.max(0, Math.min(to, others.length));
  if (target === place(card)) return;
  const next = cards()[place(card) + 1];
  if (next && !tied.has(card.dataset.name)) tied.delete(next.dataset.name);
  tied.delete(card.dataset.name);
  if (target && tied.has(others[target]?.dataset.name)) tied.add(card.dataset.name); // among equals it is one of them
  // The others move around it, so that it keeps its focus and its pointer.
  glide(() => {
    const above = others.slice(0, target);
    const below = others.slice(target);
    above.forEach((other) => card.before(other));
    let last = card;
    below.forEach((other) => { last.after(other); last = other; });
  });
  const first = cards()[0];
  tied.delete(first.dataset.name);
  number();
  keep();
  told(say('moved', { place: place(card) + 1, count: cards().length }));
};

const toggleTie = (card) => {
  if (place(card) === 0) return;
  const name = card.dataset.name;
  if (tied.has(name)) tied.delete(name);
  else tied.add(name);
  number();
  keep();
  told(say(tied.has(name) ? 'now_tied' : 'not_tied'));
};

// ---- what the server says ---------------------------------------------------------------------------------------

const show = () => {
  const value = props.value || {};
  if (left.has(value.round)) return;
  if (value.round !== round) {
    const isNext = round !== null; // the button that asked for it is disabled by now, and so without focus
    round = value.round || null;
    const order = orderOf(value);
    tied = new Set(order.flatMap((group) => group.slice(1)));
    const hadFocus = list.contains(document.activeElement) || find('.rank-actions').contains(document.activeElement);
    list.replaceChildren(...order.flat().map(makeCard));
    find('.rank-question').textContent = value.question || '';
    find('.rank-slice').textContent = value.slice || '';
    if (hadFocus && cards().length) cards()[0].focus({ preventScroll: true });
    if (hadFocus || isNext) element.scrollIntoView({ block: 'start' });
  }
  const answers = Object.keys(value.answers || {});
  if (value.phase === 'ready') { // an answer that came out empty, or like another one, is not there to be ranked
    cards().filter((card) => !answers.includes(card.dataset.name)).forEach((card) => card.remove());
  }
  for (const card of cards()) {
    const name = card.dataset.name;
    const text = value.answers?.[name];
    if (text !== undefined && card.dataset.text !== text) {
      card.dataset.text = text;
      card.querySelector('.rank-text').replaceChildren(...(text.trim() ? written(text) : [make('p', 'rank-wait', '…')]));
    }
    card.querySelector('.rank-version').textContent = value.versions?.[name] ?? '';
  }
  phase = value.phase || 'empty';
  element.dataset.phase = phase;
  find('section').setAttribute('aria-busy', phase === 'empty' || phase === 'writing');
  find('.rank-hint').textContent = say({ writing: 'writing', ready: 'hint', revealed: 'revealed' }[phase] ?? 'waiting');
  find('.rank-save').textContent = say(phase === 'revealed' ? 'next' : 'save');
  find('.rank-save').disabled = !['ready', 'revealed'].includes(phase);
  find('.rank-skip').disabled = !['ready', 'writing'].includes(phase);
  find('.rank-skip').hidden = phase === 'revealed';
  find('.rank-undo').disabled = !value.can_undo || phase === 'empty' || phase === 'writing';
  find('.rank-line').textContent = value.line || '';
  number();
};
watch('value', show);
show();

// ---- what the person does ---------------------------------------------------------------------------------------

// One decision at a time: until the server has answered, nothing more is sent.
const send = (event) => {
  phase = 'sent';
  element.dataset.phase = phase;
  for (const button of element.querySelectorAll('.rank-actions button')) button.disabled = true;
  number();
  if (event === 'ranked') trigger('ranked', { round, groups: groups() });
  else if (event === 'skipped') {
    left.add(round);
    trigger('skipped', { round });
  } else if (event === 'undone') {
    left.clear();
    trigger('undone', { round });
  }
  else trigger('continued', { round });
};
find('section').addEventListener('released', () => {
  left.delete(round);
  if (phase === 'sent') show();
});
find('.rank-save').addEventListener('click', () => send(phase === 'revealed' ? 'continued' : 'ranked'));
find('.rank-skip').addEventListener('click', () => send('skipped'));
find('.rank-undo').addEventListener('click', () => send('undone'));

list.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || phase !== 'ready') return;
  const card = cardOf(button);
  if (button.matches('.rank-tie')) return toggleTie(card);
  put(card, place(card) + (button.matches('.rank-up') ? -1 : 1));
  // At an end the button is switched off: the card takes the focus, so that keys still reach it.
  if (button.disabled) card.focus({ preventScroll: true });
  card.scrollIntoView({ block: 'nearest', behavior: calm.matches ? 'auto' : 'smooth' });
});

element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !find('.rank-save').disabled) {
    event.preventDefault();
    find('.rank-save').click();
    return;
  }
  const card = event.target;
  if (!card.matches('.rank-card') || event.ctrlKey || event.metaKey) return;
  const at = place(card);
  const move = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (move && !event.altKey) cards()[at + move]?.focus();
  else if (phase !== 'ready') return;
  else if (move) put(card, at + move);
  else if (/^[1-9]$/.test(event.key) && event.key <= cards().length) put(card, event.key - 1);
  else if (event.key === '=') toggleTie(card);
  else return;
  event.preventDefault();
  if (phase === 'ready') card.scrollIntoView({ block: 'nearest' });
});

// ---- dragging: a mouse takes a card anywhere, a finger takes it by its rail (elsewhere it scrolls) ------------------

const height = () => window.scrollY;
const middle = (card) => card.offsetTop + card.offsetHeight / 2;
// Put the card where the pointer has it, past as many others as it has passed.
const carry = () => {
  const { card } = drag;
  const wanted = drag.start + (drag.y + height() - drag.from);
  while (card.previousElementSibling && wanted < middle(card.previousElementSibling)) put(card, place(card) - 1);
  while (card.nextElementSibling && wanted > middle(card.nextElementSibling)) put(card, place(card) + 1);
  card.style.transform = `translateY(${wanted - middle(card)}px)`;
};
const follow = () => {
  if (!drag?.moving) return;
  const edge = drag.y < 70 ? -10 : drag.y > window.innerHeight - 70 ? 10 : 0;
  if (edge) window.scrollBy(0, edge);
  carry();
  requestAnimationFrame(follow);
};
const drop = () => {
  if (!drag) return;
  if (drag.moving) carry();
  drag.card.classList.remove('is-dragged');
  drag.card.style.transform = '';
  drag = null;
};
list.addEventListener('pointerdown', (event) => {
  const card = cardOf(event.target);
  if (!card || phase !== 'ready' || event.button || event.target.closest('button')) return;
  if (event.pointerType !== 'mouse' && !event.target.closest('.rank-rail')) return;
  const y = event.clientY;
  drag = { card, y, from: y + height(), start: middle(card), moving: false };
});
list.addEventListener('pointermove', (event) => {
  if (!drag) return;
  drag.y = event.clientY;
  if (drag.moving || Math.abs(drag.y + height() - drag.from) < 5) return;
  drag.moving = true;
  list.setPointerCapture(event.pointerId);
  drag.card.classList.add('is-dragged');
  follow();
});
list.addEventListener('pointerup', (event) => {
  if (drag) drag.y = event.clientY;
  drop();
});
list.addEventListener('pointercancel', drop);
