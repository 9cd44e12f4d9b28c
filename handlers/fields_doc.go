package handlers

import "whalefall/models"

// required is the refusal that names what is missing.
func required(fields string) *models.Error { return models.Invalid("field.required", "Fields", fields) }

// badText are the refusals of texts that are none, too long, or hold control characters.
func badText(name string, limit int) []*models.Error {
	return []*models.Error{
		models.Invalid("field.not_text", "Field", name), models.Invalid("field.bad_characters", "Field", name),
		models.Invalid("field.too_long", "Field", name, "Limit", limit),
	}
}

// Times of examples.
const (
	exampleTime = "2026-07-01T02:00:00+00:00"
	exampleLate = "2026-09-30T15:59:59+00:00"
)
