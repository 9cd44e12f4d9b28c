package handlers

import "whalefall/models"

// required returns the 400 that lists missing members.
func required(fields string) *models.Error { return models.Invalid("field.required", "Fields", fields) }

// badText returns the errors of a text member: not text, control characters, too long.
func badText(name string, limit int) []*models.Error {
	return []*models.Error{
		models.Invalid("field.not_text", "Field", name), models.Invalid("field.bad_characters", "Field", name),
		models.Invalid("field.too_long", "Field", name, "Limit", limit),
	}
}

// Times in examples.
const (
	exampleTime = "2026-07-01T02:00:00.000000+00:00"
	exampleLate = "2026-09-30T15:59:59.000000+00:00"
)
