// The wizard begins here. The theme is set before anything is drawn.
import { mount } from 'svelte';
import { applyTheme, storedTheme } from '../lib/theme';
import '../page.css';
import Setup from './Setup.svelte';

applyTheme(storedTheme());
const target = document.getElementById('page');
if (target) mount(Setup, { target });
