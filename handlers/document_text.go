package handlers

import (
	_ "embed"

	"whalefall/handlers/openapi"
)

const documentSummary = "What is big in your databases, and what is growing. 数据库容量：什么最大、什么在增长。"

// documentAbout is the introduction of the document: all that is needed to use the API with curl.
//
//go:embed openapi.md
var documentAbout string

// The tags of the document.
const (
	tagAuth        = "auth"
	tagInstances   = "instances"
	tagConnections = "connections"
	tagDatabases   = "databases"
	tagTables      = "tables"
	tagCredentials = "credentials"
	tagTags        = "tags"
	tagUsers       = "users"
	tagTokens      = "tokens"
	tagDocuments   = "documents"
)

var documentTags = []openapi.Tag{
	{Name: tagAuth, Description: "Log in, log out, the current session. 登录与会话"},
	{Name: tagInstances, Description: "The monitored servers. 实例"},
	{Name: tagConnections, Description: "Test connections. 连接测试"},
	{Name: tagDatabases, Description: "The databases of an instance and their sizes by day. 数据库容量"},
	{Name: tagTables, Description: "The tables of a database: the stored snapshot, and refreshing it. 表容量"},
	{
		Name:        tagCredentials,
		Description: "User names and passwords for monitored servers; passwords can be written, never read. 凭据",
	},
	{Name: tagTags, Description: "Labels of instances. 标签"},
	{Name: tagUsers, Description: "Users, and what they did. 用户与审计"},
	{Name: tagTokens, Description: "Personal tokens for programs. 个人令牌"},
	{Name: tagDocuments, Description: "This document, and the health check. 文档与健康检查"},
}

var documentHeaders = openapi.Dict(
	"X-Request-ID",
	openapi.Dict("description", "Identifies the request, also in the error's context and in the WhaleFall log.",
		"required", true, "schema", openapi.Dict("type", "string", "pattern", "^[0-9a-f]{32}$")),
	"ETag",
	openapi.Dict("description", "Identifies this version of the answer; send it back in `If-None-Match`.",
		"required", true, "schema", openapi.Dict("type", "string")),
	"Location",
	openapi.Dict("description", "Where to get its state.", "required", true, "schema", openapi.Dict("type", "string")),
	"X-Total-Count",
	openapi.Dict("description", "CSV and NDJSON: rows that follow.",
		"schema", openapi.Dict("type", "integer", "minimum", 0)),
	"X-Collected-At",
	openapi.Dict("description", "CSV and NDJSON: when the snapshot was taken; absent: never.",
		"schema", openapi.Dict("type", "string", "format", "date-time")),
	"WWW-Authenticate",
	openapi.Dict("description", "Sent after an invalid bearer token.", "schema", openapi.Dict("type", "string")),
	"Allow",
	openapi.Dict("description", "Methods the path supports.", "required", true, "schema", openapi.Dict("type", "string")),
	"Retry-After",
	openapi.Dict("description", "Seconds until the next request can succeed.", "required", true,
		"schema", openapi.Dict("type", "integer", "minimum", 1)),
	"X-RateLimit-Limit",
	openapi.Dict("description", "Requests allowed in 60 seconds.", "required", true,
		"schema", openapi.Dict("type", "integer")),
	"X-RateLimit-Remaining",
	openapi.Dict("description", "Requests left.", "required", true, "schema", openapi.Dict("type", "integer")),
	"X-RateLimit-Reset",
	openapi.Dict("description", "When the next is allowed, in seconds since 1970.", "required", true,
		"schema", openapi.Dict("type", "integer")),
)

var documentSecurity = openapi.Dict(
	"session", openapi.Dict("type", "apiKey", "in", "cookie", "name", sessionCookie,
		"description", "The cookie that the login sets."),
	"csrf", openapi.Dict("type", "apiKey", "in", "header", "name", csrfHeader,
		"description", "`data.csrf_token` of `GET /api/v1/auth/csrf-token`, together with the cookie that came with it."),
	"bearer", openapi.Dict("type", "http", "scheme", "bearer",
		"description", "A personal token, created by `POST /api/v1/tokens`. It has the permissions that its role and its "+
			"user's role share."),
)

var documentPathParameters = map[string]openapi.Object{
	"id": openapi.Dict("name", "id", "in", "path", "required", true,
		"description", "A positive integer; anything else is 404.",
		"schema", openapi.Dict("type", "integer", "format", "int64", "minimum", 1), "example", 7),
	"name": openapi.Dict("name", "name", "in", "path", "required", true,
		"description", "Name of the database, byte-exact, URL-encoded as one segment (`/` is `%2F`). "+
			"For Oracle the tablespace.",
		"schema", openapi.Dict("type", "string"), "example", "shop"),
	"session": openapi.Dict("name", "session", "in", "path", "required", true,
		"description", "ID of the login, as the list of logins has it; anything else is 404.",
		"schema", openapi.Dict("type", "string"), "example", exampleSession),
	"tag": openapi.Dict("name", "tag", "in", "path", "required", true,
		"description", "Name of the tag, byte-exact, URL-encoded as one segment (`/` is `%2F`).",
		"schema", openapi.Dict("type", "string"), "example", "production"),
}
