// One message: its text, and what can be done with it. A message keeps its nodes for as long as it is shown, so that an
// update moves neither the focus nor the page.
const copyText = async (button, text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el('textarea', { class: 'off-screen' });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    button.focus();
  }
  const [shape, word] = [button.firstChild, button.getAttribute('aria-label')];
  button.replaceChildren(icon('check'));
  button.setAttribute('aria-label', words.copied);
  setTimeout(() => {
    button.replaceChildren(shape);
    button.setAttribute('aria-label', word);
  }, 1500);
};

const makeBranches = (part) => {
  const go = (key) => () => trigger('branched', { id: part.turn[key] });
  part.earlier = tool('before', words.earlier, go('earlier'));
  part.later = tool('after', words.later, go('later'));
  part.place = el('span', { class: 'place' });
  part.branches = el('span', { class: 'branches', role: 'group' }, part.earlier, part.place, part.later);
};

const makeTurn = (turn) => {
  const part = { turn };
  const copy = tool('copy', words.copy, () => copyText(copy, part.turn.text));
  makeBranches(part);
  part.body = el('div', { class: 'said users-own', 'data-testid': turn.role === 'user' ? 'user' : 'bot' });
  part.node = el('article', { class: `turn ${turn.role}`, 'data-id': turn.id });
  if (turn.role === 'user') {
    part.editButton = tool('pen', words.edit, () => editQuestion(part));
    part.tools = el('div', { class: 'tools' }, part.branches, copy, part.editButton);
    part.node.append(part.body, part.tools);
  } else {
    part.body.classList.add('prose');
    part.judged = judged(turn);
    makeJudging(part);
    part.mark = el('p', { class: 'turn-mark' });
    part.again = tool('again', words.regenerate, () => trigger('regenerated', {}));
    part.editButton = el(
      'button', { type: 'button', class: 'tool wide-tool', onclick: () => correctAnswer(part) },
      icon('pen'), el('span', {}, words.improve),
    );
    const { up, down } = part.thumbs;
    part.tools = el('div', { class: 'tools' }, part.branches, copy, up, down, part.again, part.editButton);
    part.node.append(part.body, part.mark, part.tools, part.summary, part.panel);
  }
  part.node.setAttribute('aria-label', turn.role === 'user' ? words.you : words.answer);
  return part;
};

// HTML that the server made of Markdown (demo/markdown.py): all that a model or person wrote is escaped in it.
const setHtml = (node, html) => {
  if (node.madeOf === html) return;
  node.madeOf = html;
  node.innerHTML = html;
  for (const block of node.querySelectorAll('.code')) {
    const button = tool('copy', words.copy_code, () => copyText(button, block.querySelector('code').textContent));
    block.querySelector('.code-head').append(button);
  }
};

const fillTurn = (part, turn) => {
  part.turn = isReadBefore(part) ? withJudged({ ...part, turn }) : turn;
  const { places, place } = turn;
  part.branches.hidden = places < 2;
  setText(part.place, `${place}/${places}`);
  part.branches.setAttribute('aria-label', say('place', { place, places }));
  part.earlier.disabled = busy() || !turn.earlier;
  part.later.disabled = busy() || !turn.later;
  part.editButton.disabled = busy();
  if (turn.role === 'user') {
    setText(part.body, turn.text);
    part.editButton.hidden = props.value.dueling;
    return;
  }
  setHtml(part.body, part.original ? turn.original : turn.html);
  part.body.classList.toggle('note', Boolean(turn.note));
  part.node.classList.toggle('writing', turn.writing);
  if (turn.note) setText(part.body, turn.note);
  part.body.madeOf = turn.note ? null : part.body.madeOf;
  drawMark(part);
  part.again.hidden = !turn.last;
  part.again.disabled = busy();
  part.editButton.hidden = turn.writing;
  part.tools.classList.toggle('quiet', turn.writing);
  if (!part.saving && !part.judgeError) part.judged = judged(part.turn);
  drawJudging(part);
};

const drawMark = (part) => {
  const { turn } = part;
  part.mark.hidden = !turn.corrected && !turn.stopped && !turn.longest;
  if (!turn.corrected) {
    part.original = false;
    part.mark.replaceChildren(turn.stopped ? words.stopped : turn.longest ? words.longest : '');
    return;
  }
  part.mark.replaceChildren(
    el('span', { class: 'badge' }, words.corrected),
    textButton(part.original ? words.show_corrected : words.show_original, () => {
      part.original = !part.original;
      keepInPlace(() => fillTurn(part, part.turn));
      part.mark.querySelector('button').focus();
    }),
    textButton(words.withdraw, () => saveCorrection(part, null), { disabled: busy() }),
  );
};
