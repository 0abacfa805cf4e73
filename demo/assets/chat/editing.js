// A text opened for editing in its place: a question (sent as a new branch) or an answer (saved as a correction).
const openEditor = (part, { label, hint, text, confirm, enterSends, onconfirm }) => {
  if (part.editor) return part.area.focus();
  const send = () => onconfirm(part.area.value);
  const grow = () => {
    part.area.style.height = 'auto';
    part.area.style.height = `${Math.min(part.area.scrollHeight + 2, window.innerHeight * 0.5)}px`;
  };
  part.area = el('textarea', {
    'aria-label': label, rows: 1, oninput: grow,
    onkeydown: (event) => {
      if (event.isComposing) return;
      if (event.key === 'Escape') {
        event.preventDefault();
        event.stopPropagation();
        closeEditor(part);
      } else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey || (enterSends && !event.shiftKey))) {
        event.preventDefault();
        send();
      }
    },
  });
  part.area.value = text;
  part.editorTold = el('span', { class: 'told', role: 'status' });
  part.confirm = textButton(confirm, send, { class: 'primary' });
  part.editor = el(
    'div',
    { class: 'editor' },
    ...(hint ? [el('p', { class: 'hint' }, el('b', {}, label), ' ', hint)] : []),
    part.area,
    el('div', { class: 'row' }, part.confirm, textButton(words.cancel, () => closeEditor(part)), part.editorTold),
  );
  part.node.classList.add('edited');
  part.body.after(part.editor);
  grow();
  part.area.focus();
  part.editor.scrollIntoView({ block: 'nearest' });
};

const closeEditor = (part) => {
  part.editor?.remove();
  part.editor = null;
  part.node.classList.remove('edited');
  part.editButton?.focus();
};

const editorSays = (part, text, { wrong = false, busy = false } = {}) => {
  if (!part.editor) return;
  setText(part.editorTold, text);
  part.editorTold.classList.toggle('wrong', wrong);
  part.confirm.disabled = busy;
};

const editQuestion = (part) =>
  openEditor(part, {
    label: words.your_question, text: part.turn.text, confirm: words.send, enterSends: true,
    onconfirm: (text) => trigger('edited', { id: part.turn.id, text }),
  });

const saveCorrection = (part, text) => {
  editorSays(part, words.saving, { busy: true });
  save('corrected', { id: part.turn.id, text }, (answer) => {
    if (!answer.ok) {
      if (part.editor) editorSays(part, answer.error, { wrong: true });
      else setText(part.mark, answer.error);
      return;
    }
    closeEditor(part);
    part.original = false;
    keepInPlace(() => fillTurn(part, answer.turn));
  });
};

const correctAnswer = (part) =>
  openEditor(part, {
    label: words.your_answer, hint: words.improve_hint, text: part.turn.text, confirm: words.save,
    onconfirm: (text) => saveCorrection(part, text),
  });
