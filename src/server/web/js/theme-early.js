// Sets the chosen colours before the first paint, so that nothing flashes. A classic script on purpose: modules run late.
(function () {
  try {
    var chosen = localStorage.getItem('headgate.theme');
    if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
    if (localStorage.getItem('headgate.sidebar') === 'closed') document.documentElement.dataset.sidebar = 'closed';
  } catch (error) { /* storage may be forbidden; the system's colours do */ }
})();
