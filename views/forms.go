package views

import "fmt"

// formPath returns the address of the form for an item of a list; ID 0 is a new item.
func formPath(list string, id int64) string {
	if id == 0 {
		return list + "/new"
	}
	return fmt.Sprintf("%s/%d/edit", list, id)
}

// formAction returns the address that such a form is sent to.
func formAction(list string, id int64) string {
	if id == 0 {
		return list
	}
	return fmt.Sprintf("%s/%d", list, id)
}
