package tui

// helpDialog lists the keys, made from the key map.
func (c *console) helpDialog() *dialog {
	return &dialog{
		title: "Keys", tone: toneActive, buttons: []button{{key: "q", label: "Close"}},
		body: func(c *console, w int) []line { return c.helpLines(w) },
	}
}

func (c *console) helpLines(w int) []line {
	groups := c.keys.groups()
	left := append(groupLines(groups[0], w/2-1), nil)
	left = append(left, groupLines(groups[3], w/2-1)...)
	right := append(groupLines(groups[1], w/2-1), nil)
	right = append(right, groupLines(groups[2], w/2-1)...)
	var out []line
	for i := range max(len(left), len(right)) {
		var l line
		if i < len(left) {
			l = append(l, left[i]...)
		}
		l = l.fit(w / 2)
		if i < len(right) {
			l = append(l, right[i]...)
		}
		out = append(out, l)
	}
	return out
}

func groupLines(g keyGroup, w int) []line {
	out := []line{line{{text: g.title, tone: toneStrong}}.fit(w)}
	for _, b := range g.keys {
		if b.Enabled() {
			l := append(line{{text: b.Help().Key, tone: toneActive}}.fit(11), span{text: b.Help().Desc})
			out = append(out, l.fit(w))
		}
	}
	return out
}
