// How this conversation is answered. The value is what is on screen; it is kept on the server when a field is left.
const makeField = (tag, word, hint, attributes) => {
  const field = el(tag, { 'aria-label': word, ...attributes });
  const shown = el('span', { class: 'shown' });
  return { field, shown, node: el('label', {}, el('span', {}, word, ' ', shown), field, el('small', {}, hint)) };
};
const { limit, temperature } = props.defaults;
const system = makeField('textarea', words.system_prompt, '', {
  rows: 3, maxlength: 2000, placeholder: words.system_prompt_hint, id: 'system-prompt',
});
const heat = makeField('input', words.temperature, words.temperature_hint, {
  type: 'range', min: 0.1, max: 2, step: 0.1, id: 'temperature',
});
const length = makeField('input', words.length, '', { type: 'range', min: 1, max: limit, step: 1, id: 'length' });

const outputs = () => {
  setText(heat.shown, heat.field.value);
  setText(length.shown, length.field.value);
};

const draw = () => {
  const given = props.value ?? {};
  const put = (field, value) => {
    if (document.activeElement !== field) field.value = value;
  };
  put(system.field, given.system_prompt ?? '');
  put(heat.field, given.temperature ?? temperature);
  put(length.field, given.max_new_tokens ?? limit);
  outputs();
};

const take = () => {
  props.value = {
    system_prompt: system.field.value,
    temperature: Number(heat.field.value),
    max_new_tokens: Number(length.field.value),
  };
  outputs();
};
// What holds for another conversation comes with it; asked before that, it is answered as it is stored.
window.addEventListener('nightschool:chosen', () => {
  props.value = {};
  draw();
});
const keep = () => {
  take();
  trigger('kept', props.value);
};

for (const { field } of [system, heat, length]) {
  field.addEventListener('input', take);
  field.addEventListener('change', keep);
}
const reset = textButton(words.defaults, () => {
  [system.field.value, heat.field.value, length.field.value] = ['', temperature, limit];
  keep();
});
element.firstElementChild.append(system.node, heat.node, length.node, reset);
watch('value', draw);
draw();
