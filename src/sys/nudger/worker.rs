pub struct Health;
