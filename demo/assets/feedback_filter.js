// The filter. Its state lives in its own controls; every change is told whole. What there is to choose from comes with
// the list.
const controls = {};
const labelled = (name, control, given = {}) => {
  controls[name] = control;
  return make('label', { class: `field ${name}`, ...given }, make('span', {}, word(name)), control);
};
const moment = (day, days) => {
  const [year, month, date] = day.split('-').map(Number);
  return day ? new Date(year, month - 1, date + days).toISOString() : '';
};
let asked = 0;
let answered = -1;
const state = () => ({
  asked,
  scope: controls.scope.value || 'mine',
  kind: controls.kind.value,
  version: controls.version.value,
  person: controls.scope.value === 'all' ? controls.person.value : '',
  since: moment(controls.since.value, 0),
  until: moment(controls.until.value, 1),
  search: controls.search.value,
  minutes: -new Date().getTimezoneOffset(),
});
const isFiltered = () => ['kind', 'version', 'person', 'since', 'until', 'search'].some((name) => controls[name].value);
let waiting;
const tell = () => {
  clearTimeout(waiting);
  asked += 1;
  clear.hidden = !isFiltered();
  person.hidden = controls.scope.value !== 'all';
  props.value = state();
  trigger('filtered', {});
};
const tellSoon = () => {
  clearTimeout(waiting);
  waiting = setTimeout(tell, 350);
};
const choose = (name, choices) =>
  labelled(name, make('select', { onchange: tell }, ...choices.map(([value, text]) => option(value, text))));

const scope = choose('scope', [['mine', word('scope_mine')], ['all', word('scope_all')]]);
const person = choose('person', [['', word('person_all')]]);
const kinds = ['thumb', 'duel', 'ranking', 'correction'].map((kind) => [kind, word(`kind_${kind}`)]);
const clear = make('button', { type: 'button', class: 'clear', hidden: true, onclick: () => {
  for (const name of ['kind', 'version', 'person', 'since', 'until', 'search']) controls[name].value = '';
  tell();
  controls.search.focus();
} }, word('clear'));
root.append(
  make('form', { class: 'filter', role: 'search', 'aria-label': word('filter'), onsubmit: (event) => { event.preventDefault(); tell(); } },
    labelled('search', make('input', { type: 'search', placeholder: word('search_hint'), maxlength: 200, oninput: tellSoon })),
    scope,
    person,
    choose('kind', [['', word('kind_all')], ...kinds]),
    choose('version', [['', word('version_all')]]),
    labelled('since', make('input', { type: 'date', onchange: tell })),
    labelled('until', make('input', { type: 'date', onchange: tell })),
    clear,
  ),
);
const offer = (name, choices) => {
  const chosen = controls[name].value;
  const offered = choices.some(([value]) => value === chosen) ? choices : [...choices, [chosen, shortId(chosen)]];
  controls[name].replaceChildren(...offered.map(([value, text]) => option(value, text, chosen)));
};
let choices = {};
const draw = () => {
  const { owner = false, you = '', versions = [], people = [] } = choices;
  scope.hidden = !owner;
  person.hidden = controls.scope.value !== 'all';
  offer('version', [['', word('version_all')], ...versions.map((version) => [version, version])]);
  const named = ({ id, count, name }) => [id, `${id === you ? word('you') : id === 'importer' ? word('imported') : name || shortId(id)} (${count})`];
  offer('person', [['', word('person_all')], ...people.map(named)]);
};
window.addEventListener('feedback-choices', ({ detail }) => {
  choices = detail || {};
  draw();
  if (choices.asked === asked) answered = asked;
  else if (answered === asked) trigger('filtered', {}); // an earlier answer came after the newest one: ask again
});
draw();
props.value = state();
