// Export and import. Files go straight between the browser and the server; a refusal is told beside the button.
const address = `${location.pathname.replace(/\/$/, '')}/file`;
const said = make('p', { class: 'said', role: 'status' });
const tell = (text, failed = false) => {
  said.textContent = text;
  said.classList.toggle('failed', failed);
};
const answered = async (request) => {
  try {
    const answer = await request();
    if (answer.ok) return answer;
    tell((await answer.json()).sentence, true);
  } catch {
    tell(word('failed'), true);
  }
  return null;
};
const format = make('select', { onchange: () => {
  type.disabled = format.value === 'list';
  if (type.disabled) type.value = '.jsonl';
} },
  option('list', word('format_list')),
  option('trl-preference', word('format_preference')),
  option('kto', word('format_kto')),
  option('sft', word('format_sft')));
const type = make('select', { disabled: true }, option('.jsonl', word('jsonl')), option('.parquet', word('parquet')));
const download = async () => {
  const query = new URLSearchParams({ format: format.value, ending: type.value, wanted: JSON.stringify(props.value.wanted ?? {}) });
  const answer = await answered(() => fetch(`${address}?${query}`));
  if (!answer) return;
  const name = /filename="([^"]+)"/.exec(answer.headers.get('Content-Disposition'))[1];
  const url = URL.createObjectURL(await answer.blob());
  make('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  tell(word('downloaded', { name }));
};
const chosen = make('input', { type: 'file', accept: '.jsonl,.parquet', hidden: true, onchange: async () => {
  const [file] = chosen.files;
  if (!file) return;
  tell(word('importing', { name: file.name }));
  choose.disabled = true;
  const query = new URLSearchParams({ name: file.name });
  const answer = await answered(() => fetch(`${address}?${query}`, { method: 'POST', body: file }));
  choose.disabled = false;
  chosen.value = '';
  if (!answer) return;
  tell(word('imported_result', await answer.json()));
  trigger('imported', {});
} });
const choose = make('button', { type: 'button', onclick: () => chosen.click() }, word('choose_file'));
const importing = make('div', { class: 'import' },
  make('h3', {}, word('import')), make('p', {}, word('import_note')), choose, chosen);
root.append(
  make('section', { class: 'files' },
    make('h2', {}, word('export')),
    make('div', { class: 'export' },
      make('label', { class: 'field' }, make('span', {}, word('format')), format),
      make('label', { class: 'field' }, make('span', {}, word('file_type')), type),
      make('button', { type: 'button', class: 'primary', onclick: download }, word('download'))),
    make('p', { class: 'quiet' }, word('export_note')),
    importing,
    said),
);
const draw = () => {
  importing.hidden = !props.value?.owner;
};
watch('value', draw);
draw();
