package handlers

import "whalefall/handlers/openapi"

func scheduleFields() []openapi.Field {
	return []openapi.Field{
		openapi.Optional("enabled", openapi.Bool(true), "Whether it is collected on a schedule."),
		openapi.Optional("cron", openapi.Example(openapi.Nullable(openapi.Text(0)), "0 2 * * *"),
			"Minute, hour, day of month, month and day of week; at most every 5 minutes. "+
				"Null: WHALEFALL_SCHEDULE, daily at 02:00 by default."),
		openapi.Optional("timezone", openapi.Example(openapi.Nullable(openapi.Text(0)), "Asia/Shanghai"),
			"Time zone of cron and blackout; null: WhaleFall's."),
		openapi.Optional("jitter_minutes", openapi.Nullable(openapi.Dict("type", "integer", "minimum", 0, "maximum", 24*60)),
			"Collections are spread over this time; an instance's own delay is always the same. Null: "+
				"WHALEFALL_SCHEDULE_JITTER."),
		openapi.Optional("blackout", openapi.Example(openapi.Nullable(openapi.Text(0)), "09:00-12:00,22:00-02:00"),
			"Times of day at which no collection starts; null: none."),
	}
}
