// Light, dark, or as the system says. The choice is the only thing that this page keeps in the browser.
export type Theme = 'system' | 'light' | 'dark';

const KEY = 'quorate-theme';

export function storedTheme(): Theme {
  const word = localStorage.getItem(KEY);
  return word === 'light' || word === 'dark' ? word : 'system';
}

export function applyTheme(theme: Theme): void {
  if (theme === 'system') {
    localStorage.removeItem(KEY);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEY, theme);
    document.documentElement.dataset.theme = theme;
  }
}
