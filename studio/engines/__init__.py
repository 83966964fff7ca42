"""Who does long work: processes that outlive the page that started them."""
