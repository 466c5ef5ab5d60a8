// The page begins here. The theme is set before anything is drawn.
import { mount } from 'svelte';
import App from './App.svelte';
import { applyTheme, storedTheme } from './lib/theme';
import './page.css';

applyTheme(storedTheme());
const target = document.getElementById('page');
if (target) mount(App, { target });
