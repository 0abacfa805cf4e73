// What was said goes by itself, or when it is clicked.
let passing;
const pass = () => { props.value = ''; };
element.addEventListener('click', pass);
watch('value', () => {
  clearTimeout(passing);
  passing = setTimeout(pass, 15000);
});
