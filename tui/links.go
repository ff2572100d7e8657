package tui

import "net/url"

// appURL is the page of the app on Fly's dashboard, "" for none.
func (c *console) appURL() string {
	if c.opts.WebURL == "" || c.opts.App == "" {
		return ""
	}
	return c.opts.WebURL + "/apps/" + url.PathEscape(c.opts.App)
}

// machineURL is that of one of its machines.
func (c *console) machineURL(id string) string {
	app := c.appURL()
	if app == "" || id == "" {
		return ""
	}
	return app + "/machines/" + url.PathEscape(id)
}
