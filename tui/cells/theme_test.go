package cells

import (
	"math"
	"strconv"
	"testing"
)

// luminance is the relative luminance of a colour, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	rgb, err := strconv.ParseUint(hex[1:], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
		v := float64(rgb>>(8*i)&0xff) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestRule10ContrastOnCommonBackgrounds(t *testing.T) {
	// Black, the defaults of GNOME, VS Code and iTerm, Dracula; white, Solarized light's lighter base, GNOME's light.
	backgrounds := map[*colours][]string{
		&darkColours:  {"#000000", "#171421", "#1e1e1e", "#282a36", darkColours.band},
		&lightColours: {"#ffffff", "#fdf6e3", "#fafafa", lightColours.band},
	}
	for p, grounds := range backgrounds {
		for _, c := range []string{p.text, p.muted, p.ok, p.active, p.warn, p.fail} {
			for _, ground := range grounds {
				if got := contrast(t, c, ground); got < 4.5 {
					t.Errorf("%s on %s: contrast %.2f, want 4.5 or more", c, ground, got)
				}
			}
		}
	}
}
