// The list: a card for each act of judging, its deletion in two steps, and the way to the next page.
const day = new Intl.DateTimeFormat(props.words.locale, { dateStyle: 'medium' });
const time = new Intl.DateTimeFormat(props.words.locale, { dateStyle: 'full', timeStyle: 'medium' });
const LONG = 320;

const written = (text) => {
  const body = make('div', { class: 'text', dir: 'auto' }, text);
  if (text.length <= LONG && text.split('\n').length <= 6) return [body];
  body.classList.add('folded');
  const more = make('button', { type: 'button', class: 'more', 'aria-expanded': 'false', onclick: () => {
    const folded = body.classList.toggle('folded');
    more.textContent = word(folded ? 'more' : 'less');
    more.setAttribute('aria-expanded', String(!folded));
  } }, word('more'));
  return [body, more];
};
const version = (answer) => make('span', { class: 'version' }, answer.version ?? word('imported'));
const block = (title, text, extra = {}) =>
  make('div', { class: `answer ${extra.class || ''}` },
    make('div', { class: 'answer-head' }, make('span', { class: 'answer-title' }, title), ...(extra.head || [])),
    ...written(text));

const answers = {
  thumb: (item) => item.answers.map((answer) => block(word('answer'), answer.text, { head: [version(answer)] })),
  duel: (item) => [make('div', { class: 'sides' }, ...item.answers.map((answer) => {
    const won = answer.mark === item.outcome;
    const head = [version(answer), ...(won ? [make('span', { class: 'won' }, word('better'))] : [])];
    return block(word(`answer_${answer.mark}`), answer.text, { head, class: won ? 'winner' : '' });
  }))],
  ranking: (item) => item.answers.map((answer) =>
    block(word('rank', { place: answer.mark }), answer.text, { head: [version(answer)], class: answer.mark === '1' ? 'winner' : '' })),
  correction: (item) => [
    ...item.answers.map((answer) => block(word('original'), answer.text, { head: [version(answer)] })),
    block(word(item.mine ? 'corrected' : 'corrected_theirs'), item.corrected, { class: 'winner' }),
  ],
};
const badge = (item) => {
  const name = item.kind === 'thumb' ? `thumb_${item.outcome}` : item.kind;
  return make('span', { class: `kind ${name}` }, word(name));
};
const notes = (item) => [
  ...(item.reasons.length
    ? [make('ul', { class: 'reasons' }, ...item.reasons.map((key) => make('li', {}, props.reasons[key] ?? key)))]
    : []),
  ...(item.comment ? [block(word('comment'), item.comment, { class: 'comment' })] : []),
];
const deletion = (item) => {
  const place = make('div', { class: 'deletion' });
  const ask = make('button', { type: 'button', class: 'delete', onclick: () => {
    place.replaceChildren(make('span', {}, word('delete_sure')), yes, no);
    no.focus();
  } }, word('delete'));
  const yes = make('button', { type: 'button', class: 'yes', onclick: () => {
    yes.disabled = no.disabled = true;
    trigger('deleted', { kind: item.kind, id: item.id, page: String(props.value.page) });
  } }, word('delete'));
  const no = make('button', { type: 'button', onclick: () => {
    place.replaceChildren(ask);
    ask.focus();
  } }, word('keep'));
  place.append(ask);
  return place;
};
const card = (item) =>
  make('li', { class: 'item', 'data-id': item.id },
    make('div', { class: 'item-head' },
      badge(item),
      ...(item.kind === 'duel' ? [make('span', { class: 'outcome' }, word(item.outcome))] : []),
      make('time', { datetime: item.at, title: time.format(new Date(item.at)) }, day.format(new Date(item.at))),
      ...(item.person ? [make('span', { class: 'whose', title: item.person },
        item.mine ? word('you') : item.person === 'importer' ? word('imported') : item.name || shortId(item.person))] : []),
      deletion(item)),
    ...(item.question ? [make('div', { class: 'question', 'aria-label': word('question') }, ...written(item.question))] : []),
    ...answers[item.kind](item),
    ...notes(item),
    make('p', { class: 'learned-by' },
      item.learned_by.length ? word('learned_by', { versions: item.learned_by.join(', ') }) : word('not_learned')));
const turn = (name, page, enabled) =>
  make('button', { type: 'button', disabled: !enabled, onclick: () => {
    turned = true;
    trigger('turned', { page: String(page) });
  } }, word(name));
let turned = false;
const draw = () => {
  const { items = [], page = 0, pages = 1, empty = '' } = props.value || {};
  const drawn = [];
  if (items.length) drawn.push(make('ul', { class: 'items', 'aria-label': word('list') }, ...items.map(card)));
  else if (empty) drawn.push(make('p', { class: 'empty' }, word(empty)));
  if (pages > 1) {
    drawn.push(make('nav', { class: 'pager', 'aria-label': word('list') },
      turn('newer', page - 1, page > 0),
      make('span', {}, word('pages', { page: page + 1, pages })),
      turn('older', page + 1, page + 1 < pages)));
  }
  root.replaceChildren(...drawn);
  window.dispatchEvent(new CustomEvent('feedback-choices', { detail: props.value?.choices }));
  if (turned) root.scrollIntoView({ block: 'start' });
  turned = false;
};
watch('value', draw);
draw();
