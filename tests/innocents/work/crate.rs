fn main() {
    println!("{}", serde_json::json!(itoa::Buffer::new().format(7)));
}
