//! The terminal: taken as a whole, drawn upon, and given back as it was, also when the program fails.

use super::picture::{Line, Style, Word};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, Color, SetAttribute, SetForegroundColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, event, execute, queue, style, terminal};
use std::io::{self, Write};
use tokio::sync::mpsc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The terminal has another size.
    Resized,
    End,
}

pub struct Terminal {
    in_colour: bool,
}

impl Terminal {
    pub fn take(in_colour: bool) -> io::Result<Self> {
        enable_raw_mode()?;
        let taken = Self { in_colour };
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(taken)
    }

    /// Columns and rows.
    pub fn size() -> io::Result<(usize, usize)> {
        let (columns, rows) = terminal::size()?;
        Ok((columns.into(), rows.into()))
    }

    /// At once, so that nothing flickers.
    pub fn draw(&self, lines: &[Line]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        queue!(out, BeginSynchronizedUpdate)?;
        for (row, line) in lines.iter().enumerate() {
            queue!(out, cursor::MoveTo(0, u16::try_from(row).unwrap_or(u16::MAX)))?;
            for Word(style, text) in line {
                self.dress(&mut out, *style)?;
                queue!(out, style::Print(text), SetAttribute(Attribute::Reset))?;
            }
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        out.flush()
    }

    fn dress(&self, out: &mut impl Write, style: Style) -> io::Result<()> {
        let colour = match style {
            Style::Strong => return queue!(out, SetAttribute(Attribute::Bold)),
            Style::Plain => return Ok(()),
            Style::Quiet => None,
            Style::Good => Some(Color::DarkGreen),
            Style::Warn => Some(Color::DarkYellow),
            Style::Bad => Some(Color::DarkRed),
        };
        match colour {
            Some(colour) if self.in_colour => queue!(out, SetForegroundColor(colour)),
            None if self.in_colour => queue!(out, SetAttribute(Attribute::Dim)),
            Some(_) | None => Ok(()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // There is nobody left to tell that it failed.
        let _ = execute!(io::stdout(), cursor::Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

/// Keys, sizes, and signals that end the program. The threads that wait for them end with the program.
pub fn inputs() -> io::Result<mpsc::Receiver<Input>> {
    let (sender, receiver) = mpsc::channel(1);
    let ended = sender.clone();
    platform::on_every_termination(move || {
        let _ = ended.blocking_send(Input::End);
    })?;
    std::thread::spawn(move || {
        // A terminal that is gone asks for nothing any more.
        while let Ok(event) = event::read() {
            if let Some(input) = meant(&event)
                && sender.blocking_send(input).is_err()
            {
                return;
            }
        }
        let _ = sender.blocking_send(Input::End);
    });
    Ok(receiver)
}

fn meant(event: &Event) -> Option<Input> {
    match event {
        Event::Resize(..) => Some(Input::Resized),
        // Windows also tells of keys that are let go.
        Event::Key(key) if key.kind == KeyEventKind::Press => {
            let ends = match key.code {
                KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
                KeyCode::Char('c' | 'd') => key.modifiers.contains(KeyModifiers::CONTROL),
                _ => false,
            };
            ends.then_some(Input::End)
        }
        _ => None,
    }
}
