//! The product, unchanged, under a name that cargo tells to the integration tests.

fn main() -> std::process::ExitCode {
    stompbox_broker::main()
}
