package handlers

import "whalefall/handlers/openapi"

func scheduleFields() []openapi.Field {
	return []openapi.Field{
		openapi.Optional("enabled", openapi.Bool(true), "Whether it is collected by schedule at all."),
		openapi.Optional(
			"cron",
			openapi.Example(openapi.Nullable(openapi.Text(0)), "0 2 * * *"),
			"Minute, hour, day of month, month and day of week; at most every 5 minutes. "+
				"Null: as WHALEFALL_SCHEDULE says, daily at 02:00 by default.",
		),
		openapi.Optional(
			"timezone",
			openapi.Example(openapi.Nullable(openapi.Text(0)), "Asia/Shanghai"),
			"Zone of cron and blackout; null: that of WhaleFall.",
		),
		openapi.Optional("jitter_minutes", openapi.Nullable(openapi.Dict("type", "integer", "minimum", 0, "maximum", 24*60)),
			"It is later by a part of this that is always the same. Null: as WHALEFALL_SCHEDULE_JITTER says."),
		openapi.Optional(
			"blackout",
			openapi.Example(openapi.Nullable(openapi.Text(0)), "09:00-12:00,22:00-02:00"),
			"Times of day at which nothing is begun; null: none.",
		),
	}
}
