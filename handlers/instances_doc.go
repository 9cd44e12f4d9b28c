package handlers

import (
	"net/http"
	"slices"

	"whalefall/handlers/openapi"
	"whalefall/models"
)

// engineName is the schema of a db_type in requests.
var engineName = openapi.Dict("type", "string", "examples", models.Engines,
	"description", "mysql, oracle, postgresql, sqlserver or sqlite, in any case; "+
		"the aliases mariadb, pg, postgres and mssql are accepted.")

const instanceMissing = "instance.not_found"

// addressFields returns the members that describe a server and how to connect to it.
func addressFields() []openapi.Field {
	return []openapi.Field{
		openapi.Required("db_type", engineName,
			"Engine: `mysql` (including MariaDB), `oracle`, `postgresql`, `sqlserver` or `sqlite`, in any case; the aliases "+
				"`mariadb`, `pg`, `postgres` and `mssql` are accepted."),
		openapi.Optional("host",
			openapi.Example(openapi.Dict("type", []string{"string", "null"}, "maxLength", 253), "db.example.com"),
			"IPv4 or IPv6 address, or host name. Required, except for SQLite, which has none."),
		openapi.Optional("port", openapi.Example(openapi.Nullable(openapi.IntUpTo(65535)), 5432),
			"Required, except for SQLite, which has none. A string of digits is accepted."),
		openapi.Optional("database_name", openapi.Nullable(openapi.Text(maxDatabaseName)),
			"Database to connect to first. For SQLite, required: path of the file on the WhaleFall host, "+
				"in an allowed directory. "+
				"For Oracle: the service name, with its domain if it has one. Otherwise optional."),
		openapi.Optional("tls_mode", openapi.Default(openapi.Enum(tlsModes...), models.TLSPrefer), tlsAbout),
		openapi.Optional("options", instanceOptions,
			"Options that only some engines have. Replaces all options that were set before."),
		openapi.Optional("credential_id", openapi.Nullable(openapi.Dict("type", "integer", "format", "int64")),
			"Credential to log in with; null: none."),
		openapi.Optional("username", openapi.Text(maxUsername),
			"User name on the server, instead of a credential: with `password` it becomes a new one, for `host` only."),
		openapi.Optional("password", openapi.Dict("type", "string", "format", "password"),
			"Exactly as typed, at most 512 bytes. It cannot be read again."),
		openapi.Optional(passwordAgain, openapi.Dict("type", "string", "format", "password"),
			"Password of a credential whose `hosts` do not have `host`: it is stored, and `host` takes the place of the "+
				"instance's former one."),
	}
}

const tlsAbout = `How the connection is encrypted.

| mode | encrypted | certificate chain checked | name checked |
|---|---|---|---|
| disable | no | no | no |
| prefer | when the server offers it (Oracle: never) | no | no |
| require | yes, or no connection | no | no |
| verify-ca | yes | yes | no |
| verify-full | yes | yes | yes |

The chain is checked against the option ca_certificate, or the system's CAs if that is empty. ` +
	"Unencrypted, the password is only proved by answers to challenges, unless the host is `localhost` or a loopback " +
	"address; SQL Server, whose logins have the password, is refused with `prefer`. It does not apply to SQLite."

var instanceOptions = openapi.Dict("type", "object",
	"additionalProperties", openapi.Dict("type", "string", "maxLength", maxOptionBytes), "maxProperties", maxOptions,
	"properties", openapi.Dict(
		models.OptionCACertificate, openapi.Dict("type", "string",
			"description", "PostgreSQL, MySQL, MariaDB, SQL Server, Oracle: PEM of the CAs to trust with "+
				"verify-ca and verify-full."),
		models.OptionSID, openapi.Dict("type", "string",
			"description", "Oracle: SID to connect to instead of a service; database_name is then empty."),
		models.OptionWallet, openapi.Dict("type", "string",
			"description", "Oracle: directory with an auto-login wallet (cwallet.sso) for require and the verify "+
				"modes, under `wallets` in the data directory or under a directory of WHALEFALL_WALLET_DIRS."),
	))

func instanceFields() []openapi.Field {
	return slices.Concat([]openapi.Field{
		openapi.Required("name", openapi.Text(maxInstanceName),
			"Letters, digits, `_`, `-` and Chinese characters. Unique among instances that are not deleted."),
	}, addressFields(), []openapi.Field{
		openapi.Optional("description", openapi.Text(maxDescription), "Free text."),
		openapi.Optional("is_active", openapi.Bool(true), "An inactive instance can be read, but not synced or refreshed."),
		openapi.Optional("tag_names", openapi.Dict("type", "array", "items", openapi.Text(maxTagName), "maxItems", maxTags),
			"Tags; those that do not exist yet are created."),
		openapi.Optional("schedule", openapi.ObjectOf(scheduleFields()),
			"When it is collected automatically; absent members stay as they are."),
	})
}

// hostRefused returns an example of the refusal to send a credential to a host.
func hostRefused(code models.Code) *models.Error {
	return &models.Error{
		Code: code, Key: "credential.host_refused", Args: models.Args("Name", "orders-reader", "Host", "db.example.com"),
	}
}

var addressRefusals = []*models.Error{
	models.Invalid("instance.engine_unknown", "Engine", "db2"),
	models.Invalid("instance.host_invalid"),
	models.Invalid("instance.port_not_integer"),
	models.Invalid("instance.port_range"),
	models.Invalid("instance.tls_mode_invalid"),
	models.Invalid("instance.options_invalid"),
	models.Invalid("instance.certificate_invalid", "Field", "options."+models.OptionCACertificate),
	models.Invalid("instance.credential_missing"),
	models.Invalid("credential.password_long"),
	hostRefused(models.CodeInvalid),
	models.Invalid("field.not_text", "Field", "host"),
	models.Invalid("field.bad_characters", "Field", "database_name"),
	models.Invalid("field.too_long", "Field", "database_name", "Limit", maxDatabaseName),
}

var instanceRefusals = slices.Concat([]*models.Error{
	required("name, host"), models.Invalid("instance.name_long"), models.Invalid("instance.name_characters"),
}, addressRefusals, []*models.Error{
	models.Invalid("instance.description_long"),
	models.Invalid("instance.tags_not_list"),
	models.Invalid("instance.tags_too_many", "Limit", maxTags),
	models.Invalid("field.not_boolean", "Field", "is_active"),
	models.Invalid("schedule.not_object"),
	models.Invalid("schedule.cron_invalid"),
	models.Invalid("schedule.cron_never"),
	models.Invalid("schedule.cron_often", "Minutes", 5),
	models.Invalid("schedule.zone_unknown"),
	models.Invalid("schedule.jitter_not_integer"),
	models.Invalid("schedule.jitter_range", "Limit", 24*60),
	models.Invalid("schedule.blackout_invalid"),
	models.Invalid("schedule.blackout_always"),
	{Code: models.CodeConflict, Key: "instance.name_taken"},
})

// oneInstance is the data of answers about one instance.
type oneInstance struct {
	Instance instanceJSON `json:"instance"`
}

func exampleInstance() oneInstance {
	port, credential := 5432, int64(3)
	return oneInstance{
		instanceJSON{
			ID:              7,
			Name:            "orders",
			DBType:          models.PostgreSQL,
			Host:            orNull("db.example.com"),
			Port:            &port,
			DatabaseVersion: orNull("PostgreSQL 16.14"),
			MainVersion:     orNull("16"),
			DetailedVersion: orNull("16.14"),
			CredentialID:    &credential,
			Credential: &credentialJSON{
				ID:             3,
				Name:           "orders-reader",
				Username:       "whalefall",
				Password:       maskedPassword,
				CredentialType: "database",
			},
			Description:   "Orders, production",
			Tags:          []tagJSON{exampleTag},
			IsActive:      true,
			LastConnected: orNull(exampleTime),
			LastSyncTime:  orNull(exampleTime),
			CreatedAt:     exampleTime,
			UpdatedAt:     exampleTime,
			Status:        "active",
			TLSMode:       models.TLSVerifyFull,
			Options:       map[string]string{},
			Schedule: scheduleJSON{
				Enabled:    true,
				Cron:       orNull("30 1 * * *"),
				Blackout:   orNull("09:00-12:00,22:00-02:00"),
				NextRunAt:  orNull(exampleTime),
				LastRunAt:  orNull(exampleTime),
				LastStatus: &exampleRound,
			},
		},
	}
}

var exampleRound = models.RoundSucceeded

func exampleInstanceItem() instanceItemJSON {
	i, size, growth := exampleInstance().Instance, int64(1<<30), int64(1<<20)
	return instanceItemJSON{
		ID:             i.ID,
		Name:           i.Name,
		DBType:         i.DBType,
		Host:           i.Host,
		Port:           i.Port,
		Description:    i.Description,
		IsActive:       true,
		Status:         i.Status,
		MainVersion:    i.MainVersion,
		ActiveDBCount:  3,
		LastSyncTime:   i.LastSyncTime,
		Tags:           i.Tags,
		TotalSizeBytes: &size,
		Growth7dBytes:  &growth,
	}
}

func instanceOperations() []operation {
	postgres := openapi.Dict("name", "orders", "db_type", "postgresql", "host", "db.example.com", "port", 5432,
		"tls_mode", "verify-full", "username", "whalefall", "password", "p@ss word!", "tag_names", []string{"production"})
	return slices.Concat([]operation{
		{
			method: http.MethodGet, path: "/instances", id: "listInstances", tag: tagInstances,
			summary: "List instances", about: "An invalid parameter falls back to its default.",
			query: append(instanceFilter(), pageFields...), message: "api.instances",
			data: newPage([]instanceItemJSON{exampleInstanceItem()}, 1, listLimit, 0),
		},
		{
			method:  http.MethodPost,
			path:    "/instances",
			id:      "createInstance",
			tag:     tagInstances,
			summary: "Add an instance",
			about: "Does not connect to the server; see `POST /api/v1/connections/actions/test`. A SQLite file needs only " +
				"`name`, `db_type` and `database_name`: " +
				"`{\"name\":\"cache\",\"db_type\":\"sqlite\",\"database_name\":\"/srv/cache.db\"}`.",
			body:    instanceFields(),
			example: postgres,
			status:  http.StatusCreated,
			message: "api.instance_created",
			data:    exampleInstance(),
			fails:   instanceRefusals,
		},
	}, statisticsOperations(), exportOperations(), importOperations(), batchDeleteOperations(), oneInstanceOperations())
}

func instanceFilter() []openapi.Field {
	return []openapi.Field{
		openapi.Optional("search", openapi.Text(0),
			"Case-insensitive substring of name, host and description, taken literally."),
		openapi.Optional("db_type", engineName, "Only this engine."),
		openapi.Optional("status", openapi.Enum("active", "inactive", "paused", "deleted"),
			"Only these; `paused` are active ones whose scheduled collections kept failing and have stopped."),
		openapi.Optional("tags", openapi.List(openapi.Dict("type", "string")),
			"Names of tags, repeated; instances with any of them."),
		openapi.Optional("include_deleted", openapi.Bool(false), "Also those in the recycle bin."),
		openapi.Optional("sort", openapi.Default(openapi.Enum(instanceSorts...), "id"), "Column to sort by."),
		openapi.Optional("order", openapi.Default(openapi.Enum("asc", "desc"), "desc"), "Direction."),
	}
}

func oneInstanceOperations() []operation {
	deleted := struct {
		InstanceID   int64   `json:"instance_id"`
		DeletedAt    *string `json:"deleted_at"`
		DeletionMode string  `json:"deletion_mode"`
	}{7, orNull(exampleTime), "soft"}
	remove := operation{
		method: http.MethodDelete, path: "/instances/{id}", id: "deleteInstance", tag: tagInstances,
		summary: "Move an instance to the recycle bin", about: "Also deactivates it. Repeating it changes nothing.",
		message: "api.instance_deleted", data: deleted, missing: instanceMissing,
	}
	removeByPost := remove
	removeByPost.method, removeByPost.path = http.MethodPost, "/instances/{id}/delete"
	removeByPost.id = "deleteInstanceByPost"
	restore := operation{
		method:  http.MethodPost,
		path:    "/instances/{id}/actions/restore",
		id:      "restoreInstance",
		tag:     tagInstances,
		summary: "Take an instance out of the recycle bin",
		about:   "It is active if it was before it was deleted. The message is 实例未删除，无需恢复 when it was not there.",
		message: "api.instance_restored",
		data:    exampleInstance(),
		missing: instanceMissing,
		fails:   []*models.Error{{Code: models.CodeConflict, Key: "instance.name_taken"}},
	}
	restoreShort := restore
	restoreShort.path, restoreShort.id = "/instances/{id}/restore", "restoreInstanceShort"
	return []operation{
		{
			method: http.MethodGet, path: "/instances/{id}", id: "getInstance", tag: tagInstances,
			summary: "Get one instance", about: "An instance in the recycle bin is not found.",
			message: "api.instance", data: exampleInstance(), missing: instanceMissing,
		},
		{
			method:  http.MethodPut,
			path:    "/instances/{id}",
			id:      "updateInstance",
			tag:     tagInstances,
			summary: "Change an instance",
			about:   "Requires the same members as adding one; absent optional members stay as they are.",
			body:    instanceFields(),
			example: openapi.Dict("name", "orders", "db_type", "postgresql", "host", "db2.example.com", "port", 5432),
			message: "api.instance_updated",
			data:    exampleInstance(),
			missing: instanceMissing,
			fails:   instanceRefusals,
		},
		remove,
		removeByPost,
		restore,
		restoreShort,
		{
			method:  http.MethodPost,
			path:    "/instances/{id}/actions/resume-schedule",
			id:      "resumeSchedule",
			tag:     tagInstances,
			summary: "Resume the collection of a paused instance",
			about: "An instance is paused when its scheduled collections have failed several times in a row. A successful " +
				"sync or refresh also resumes it, and so does a change of its connection. The message is " +
				"采集计划未暂停，无需恢复 when it was not paused.",
			message: "api.schedule_resumed",
			data:    exampleInstance(),
			missing: instanceMissing,
		},
	}
}
