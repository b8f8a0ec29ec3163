// Dark and light: by the system, or by choice.

export function chosenTheme() {
  return document.documentElement.dataset.theme ?? 'system';
}

export function chooseTheme(theme) {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === 'system') localStorage.removeItem('headgate.theme');
    else localStorage.setItem('headgate.theme', theme);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}
