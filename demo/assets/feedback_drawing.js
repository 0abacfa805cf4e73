// What the scripts of the Feedback page share. Whatever people or models wrote becomes text nodes, never HTML.
const word = (name, values = {}) =>
  Object.entries(values).reduce((text, [key, value]) => text.replace(`%${key}%`, () => value), props.words[name] ?? name);
const make = (tag, given = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? '' : value);
  }
  if (['button', 'select', 'input'].includes(tag)) made.classList.add('control');
  made.append(...children.filter((child) => child !== undefined && child !== ''));
  return made;
};
const option = (value, text, chosen) => make('option', { value, selected: value === chosen }, text);
const shortId = (id) => (id.length > 14 ? `…${id.slice(-6)}` : id);
const root = element.firstElementChild;
