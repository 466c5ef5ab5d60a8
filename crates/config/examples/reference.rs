//! Prints the reference page of the configuration, for `./dev docs`.

fn main() {
    println!("{}", config::reference_markdown());
}
