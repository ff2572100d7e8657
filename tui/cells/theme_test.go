package cells

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// linear is a colour in linear RGB.
func linear(t *testing.T, hex string) (rgb [3]float64) {
	t.Helper()
	bits, err := strconv.ParseUint(hex[1:], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rgb {
		v := float64(bits>>(16-8*i)&0xff) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		rgb[i] = v
	}
	return rgb
}

// luminance is the relative luminance of a colour, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance.
func luminance(t *testing.T, hex string) float64 {
	c := linear(t, hex)
	return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2]
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// palette is a skin's colours on one of the backgrounds.
type palette struct {
	name    string
	skin    Skin
	dark    bool
	grounds []string // that text stands on
	colours
}

// palettes are all that have colours, on common backgrounds: black, the defaults of GNOME, VS Code and iTerm, Dracula; white, Solarized
// light's lighter base, GNOME's light; and on the cursor's band. A skin with a background of its own has no other.
func palettes() []palette {
	var all []palette
	for _, skin := range Skins {
		for name, of := range map[string]map[Skin]colours{"dark": darkColours, "light": lightColours} {
			c, has := of[skin]
			if !has {
				continue
			}
			p := palette{name: string(skin) + ", " + name, skin: skin, dark: name == "dark", colours: c, grounds: []string{c.ground}}
			switch {
			case c.ground != "":
			case p.dark:
				p.grounds = []string{"#000000", "#171421", "#1e1e1e", "#282a36"}
			default:
				p.grounds = []string{"#ffffff", "#fdf6e3", "#fafafa"}
			}
			all = append(all, p)
		}
	}
	return all
}

func TestRule10ContrastOnCommonBackgrounds(t *testing.T) {
	seen := palettes()
	if len(seen) != 6 {
		t.Fatalf("%d palettes", len(seen))
	}
	for _, p := range seen {
		for _, c := range []string{p.text, p.muted, p.ok, p.active, p.warn, p.fail} {
			for _, ground := range append(p.grounds, p.band) {
				if got := contrast(t, c, ground); got < 4.5 {
					t.Errorf("%s: %s on %s: contrast %.2f, want 4.5 or more", p.name, c, ground, got)
				}
				if got := contrast(t, c, ground); p.skin == HighContrast && got < 7 {
					t.Errorf("%s: %s on %s: contrast %.2f, want 7 or more", p.name, c, ground, got)
				}
			}
		}
		if got := contrast(t, p.rule, p.grounds[0]); p.skin == HighContrast && got < 4.5 {
			t.Errorf("%s: lines have a contrast of %.2f", p.name, got)
		}
	}
}

// eyes are those that lack a kind of cones, as matrices over linear RGB: Machado, Oliveira and Fernandes, "A Physiologically-based Model
// for Simulation of Color Vision Deficiency", 2009, severity 1.
var eyes = map[string][3][3]float64{
	"all cones":     {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"no red ones":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"no green ones": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"no blue ones":  {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

// lab is a colour in CIE L*a*b* (D65), as some eyes see it.
func lab(t *testing.T, hex string, eye [3][3]float64) [3]float64 {
	c := linear(t, hex)
	var seen [3]float64
	for i, row := range eye {
		seen[i] = min(max(row[0]*c[0]+row[1]*c[1]+row[2]*c[2], 0), 1)
	}
	f := func(v float64) float64 {
		if v > 0.008856 {
			return math.Cbrt(v)
		}
		return 7.787*v + 16.0/116
	}
	x := f((0.4124*seen[0] + 0.3576*seen[1] + 0.1805*seen[2]) / 0.95047)
	y := f(0.2126*seen[0] + 0.7152*seen[1] + 0.0722*seen[2])
	z := f((0.0193*seen[0] + 0.1192*seen[1] + 0.9505*seen[2]) / 1.08883)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

func TestColourBlindEyesTellTheirSkinApart(t *testing.T) {
	for _, p := range palettes() {
		if p.skin != ColourBlind {
			continue
		}
		meaning := map[string]string{"ok": p.ok, "active": p.active, "warn": p.warn, "fail": p.fail}
		for whose, eye := range eyes {
			for a := range meaning {
				for b := range meaning {
					x, y := lab(t, meaning[a], eye), lab(t, meaning[b], eye)
					if apart := math.Sqrt(math.Pow(x[0]-y[0], 2) + math.Pow(x[1]-y[1], 2) + math.Pow(x[2]-y[2], 2)); a < b && apart < 25 {
						t.Errorf("%s: %s and %s are %.0f apart for eyes with %s, want 25", p.name, a, b, apart, whose)
					}
				}
			}
		}
	}
}

func TestMonoHasNoColour(t *testing.T) {
	for _, dark := range []bool{true, false} {
		theme := NewTheme(Mono, dark, false)
		for tone := range tones {
			for _, band := range []bool{true, false} {
				painted := theme.Paint([]Line{{{Text: "x", Tone: tone, Band: band}}})
				if tone == Fail && !strings.Contains(painted, "\x1b[1") {
					t.Errorf("a failure is not bold: %q", painted)
				}
				for _, sgr := range regexp.MustCompile("\x1b\\[[0-9;]*m").FindAllString(painted, -1) {
					for n := range strings.FieldsFuncSeq(sgr, func(r rune) bool { return r < '0' || r > '9' }) {
						if !slices.Contains([]string{"", "0", "1", "7"}, n) {
							t.Errorf("tone %d is painted %q", tone, painted)
						}
					}
				}
			}
		}
	}
}
