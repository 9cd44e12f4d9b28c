package handlers

import (
	_ "embed"

	"whalefall/models"
)

const documentSummary = "What is big in your databases, what grows, and when it is full. 数据库容量: 什么大, 什么在涨, 何时会满。"

// documentAbout is the front page of the document: what a person needs who has only this and curl.
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

var documentTags = []struct{ name, about string }{
	{tagAuth, "Log in, log out, who am I. 登录与会话"},
	{tagInstances, "The monitored servers. 实例"},
	{tagConnections, "Can it be connected to? 连接测试"},
	{tagDatabases, "The databases of an instance and their sizes by day. 数据库容量"},
	{tagTables, "The tables of a database: the stored snapshot, and refreshing it. 表容量"},
	{tagCredentials, "User names and passwords for monitored servers; passwords go in and never come out. 凭据"},
	{tagTags, "Labels of instances. 标签"},
	{tagUsers, "Who may log in, and what everybody did. 用户与审计"},
	{tagTokens, "Personal tokens for programs. 个人令牌"},
	{tagDocuments, "This document, and whether the server lives. 文档与健康检查"},
}

var documentHeaders = dict(
	"X-Request-ID", dict("description", "Names the request, in the error's context and in the log, too.", "required", true,
		"schema", dict("type", "string", "pattern", "^[0-9a-f]{32}$")),
	"ETag", dict("description", "Names this state of the answer; send it back in `If-None-Match`.", "required", true, "schema", dict("type", "string")),
	"Location", dict("description", "Where to ask how it goes.", "required", true, "schema", dict("type", "string")),
	"X-Total-Count", dict("description", "CSV and NDJSON: rows that follow.", "schema", dict("type", "integer", "minimum", 0)),
	"X-Collected-At", dict("description", "CSV and NDJSON: when the snapshot was taken; absent: never.", "schema", dict("type", "string", "format", "date-time")),
	"WWW-Authenticate", dict("description", "After a bearer token that is none.", "schema", dict("type", "string")),
	"Allow", dict("description", "The methods that the path has.", "required", true, "schema", dict("type", "string")),
	"Retry-After", dict("description", "Seconds until the next request can succeed.", "required", true, "schema", dict("type", "integer", "minimum", 1)),
	"X-RateLimit-Limit", dict("description", "How many are allowed in 60 seconds.", "required", true, "schema", dict("type", "integer")),
	"X-RateLimit-Remaining", dict("description", "How many are left.", "required", true, "schema", dict("type", "integer")),
	"X-RateLimit-Reset", dict("description", "When the next is allowed, in seconds since 1970.", "required", true, "schema", dict("type", "integer")),
)

var documentSecurity = dict(
	"session", dict("type", "apiKey", "in", "cookie", "name", sessionCookie, "description", "The cookie that the login sets."),
	"csrf", dict("type", "apiKey", "in", "header", "name", csrfHeader,
		"description", "`data.csrf_token` of `GET /api/v1/auth/csrf-token`, together with the cookie that came with it."),
	"bearer", dict("type", "http", "scheme", "bearer",
		"description", "A personal token, made at `POST /api/v1/tokens`. It may do what its role and its user's role both permit."),
)

var pathParameters = map[string]object{
	"id": dict("name", "id", "in", "path", "required", true, "description", "A positive integer; anything else is 404.",
		"schema", dict("type", "integer", "format", "int64", "minimum", 1), "example", 7),
	"name": dict("name", "name", "in", "path", "required", true,
		"description", "Name of the database, byte-exact, URL-encoded as one segment (`/` is `%2F`). For Oracle the tablespace.",
		"schema", dict("type", "string"), "example", "shop"),
}

// memberEnums are the texts with few values whose Go type does not say so, by component and member or by member.
var memberEnums = map[string][]any{
	"status":                   values("active", "inactive", "deleted"),
	"SyncResult.status":        values("completed"),
	"deletion_mode":            values("soft", "hard"),
	"credential_type":          values("database"),
	"CredentialDetail.db_type": append(values(models.Engines...), nil),
	"Error.category":           values("validation", "authentication", "authorization", "security", "business", "external", "system"),
	"Error.severity":           values("low", "medium", "high"),
	"ErrorExtra.reason":        values("refused", "timeout", "unresolved", "unroutable", "tls", "protocol", "login", "busy", "starting", "missing", "lost"),
}
