package views

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"

	"whalefall/models"
)

//go:embed locale/*.toml
var catalogs embed.FS

// Languages of the product; Chinese is the default.
const (
	Chinese = "zh-CN"
	English = "en"
)

// catalogsOnce returns what fills in messages with placeholders, by language, and the other messages, by language and
// key. Commands without pages do not load them.
var catalogsOnce = sync.OnceValues(loadCatalogs)

func loadCatalogs() (localizers map[string]*i18n.Localizer, messages map[string]map[string]string) {
	bundle := i18n.NewBundle(language.SimplifiedChinese)
	bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	files, err := fs.Glob(catalogs, "locale/*.toml")
	if err != nil {
		panic(err)
	}

	constant := map[string]map[string]string{Chinese: {}, English: {}}
	for _, f := range files {
		file, err := bundle.LoadMessageFileFS(catalogs, f)
		if err != nil {
			panic(fmt.Errorf("catalog %s: %w", f, err))
		}
		for _, m := range file.Messages {
			if !strings.Contains(m.Other, "{{") {
				constant[file.Tag.String()][m.ID] = m.Other
			}
		}
	}

	return map[string]*i18n.Localizer{
		Chinese: i18n.NewLocalizer(bundle, Chinese),
		English: i18n.NewLocalizer(bundle, English),
	}, constant
}

// Message returns the message with the key in lang, its placeholders filled from args. It returns the key itself when
// no catalog has it.
func Message(lang, key string, args map[string]any) string {
	localizers, messages := catalogsOnce()
	if text, ok := messages[lang][key]; ok {
		return text
	}
	localizer, ok := localizers[lang]
	if !ok {
		localizer = localizers[Chinese]
	}
	return localized(localizer, key, args)
}

func localized(localizer *i18n.Localizer, key string, args map[string]any) string {
	text, err := localizer.Localize(&i18n.LocalizeConfig{MessageID: key, TemplateData: args})
	var missing *i18n.MessageNotFoundErr
	if errors.As(err, &missing) || text == "" {
		return key
	}
	return text
}

// Failed returns the message of an error for people: its own, else that of its code.
func Failed(lang string, e *models.Error) string {
	key := e.Key
	if key == "" {
		key = string(e.Code)
	}
	return Message(lang, key, e.Args)
}

// Language chooses between Chinese and English: the language of the cookie if it is one of them in any region, else the
// one that the Accept-Language header prefers, else the fallback. The wildcard stands for the fallback.
func Language(cookie, acceptLanguage, fallback string) string {
	switch base, _, _ := strings.Cut(cookie, "-"); base {
	case "zh":
		return Chinese
	case "en":
		return English
	}
	wanted, weights, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil {
		return fallback
	}
	best := map[string]float32{}
	for i, tag := range wanted {
		base, _ := tag.Base()
		best[base.String()] = max(best[base.String()], weights[i])
	}
	base, _, _ := strings.Cut(fallback, "-")
	if _, named := best[base]; !named {
		best[base] = best[wildcard]
	}
	switch {
	case best["en"] > best["zh"]:
		return English
	case best["zh"] > best["en"]:
		return Chinese
	}
	return fallback
}

// wildcard is what the parser turns "*" into.
const wildcard = "mul"
