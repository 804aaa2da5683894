// The page comes together here. See index.html for the elements.
