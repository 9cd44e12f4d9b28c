package static

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Icons is the style sheet of the icons: one rule an icon, generated from the vendored SVG files when the program
// starts. A page then names an icon in some thirty bytes instead of repeating its paths.
const Icons = "icons.css"

const iconDir = "vendor/lucide-static-1.62.0/icons/"

// iconRules returns the content of Icons. An icon is a mask in the text color, see .icon in app.css.
func iconRules(contents map[string][]byte) []byte {
	var rules bytes.Buffer
	rules.WriteString("/* Generated from lucide-static 1.62.0, ISC license, see vendor/. */\n")
	for _, file := range slices.Sorted(maps.Keys(contents)) {
		name, isIcon := iconName(file)
		if !isIcon {
			continue
		}
		rules.WriteString(".icon-" + name + ` { --icon: url("data:image/svg+xml,` + dataOf(contents[file]) + "\") }\n")
	}
	return rules.Bytes()
}

// iconName returns the name of the icon in a file, and whether the file is one.
func iconName(file string) (string, bool) {
	name, inDir := strings.CutPrefix(file, iconDir)
	name, isSVG := strings.CutSuffix(name, ".svg")
	return name, inDir && isSVG
}

// forData makes an SVG file fit for a data address in double quotes.
var forData = strings.NewReplacer(`"`, "'", "#", "%23", "%", "%25", "<", "%3c", ">", "%3e", "currentColor", "black")

func dataOf(svg []byte) string {
	_, markup, hasLicense := strings.Cut(string(svg), "-->")
	if !hasLicense {
		markup = string(svg)
	}
	return forData.Replace(strings.Join(strings.Fields(markup), " "))
}

// markups returns the markup of the icons by their names.
var markups = sync.OnceValue(func() map[string]string {
	assets, _ := loaded()
	byName := map[string]string{}
	for file := range assets {
		if name, isIcon := iconName(file); isIcon {
			byName[name] = `<i class="icon icon-` + name + `"></i>`
		}
	}
	return byName
})

// Icon returns the markup of an icon. It has no text, so screen readers skip it: a label belongs beside it or on the
// element that holds it. It panics on an unknown name.
func Icon(name string) string {
	markup, ok := markups()[name]
	if !ok {
		panic("static: no icon " + name)
	}
	return markup
}
