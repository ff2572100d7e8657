defmodule FlyDeploy.Components do
  @moduledoc """
  Function components for pages of LiveView.

  They need no dependency: what a template of Phoenix becomes is made when a page renders, by the LiveView that is there.
  """

  # Only pages of LiveView call it.
  @rendered Phoenix.LiveView.Rendered
  @static ["<div id=\"", "\" hidden phx-mounted=\"", "\"></div>"]
  # Any number that no template has: it tells LiveView what the client knows already.
  @fingerprint :erlang.phash2({__MODULE__, @static}, 4_294_967_296)

  @doc """
  Has open pages take the new stylesheet after a hot upgrade, without a reload.

  The root layout, with the links to stylesheets, is not part of what LiveView renders, so that an open page keeps the stylesheet
  with which it was loaded, whose digest is in its name. Put this into the layout of your views, or into any template that LiveView
  renders:

      <FlyDeploy.Components.hot_reload_css socket={@socket} />

  When the upgrade has brought another `app.css`, it gives the new path to the page's `<link>`s of that file, the preloading ones
  among them. Browsers show the old stylesheet until they have the new one. It uses LiveView's own commands (`phx-mounted`, from
  LiveView 0.18 on), so no script has to be allowed or written.

  Scripts that run are not touched: a page has the new ones from its next load on. `Phoenix.LiveView.static_changed?/1` goes on
  telling you of them.

  ## Attributes

    * `socket` – `@socket`, required
    * `asset` – the file below `/assets`, such as `"app.css"` (the default) or `"css/app.css"` (what Phoenix 1.8 generates); or a path
      from the root, such as `"/styles/shop.css"`. Also the `.js` of a `<link rel="modulepreload">`
    * `id` – the element's, if its own would not be the only one of this name on the page
  """
  @spec hot_reload_css(%{:socket => map, optional(:asset) => String.t(), optional(atom) => term}) :: struct
  def hot_reload_css(%{socket: %{endpoint: endpoint}} = assigns) do
    file = file(Map.get(assigns, :asset, "app.css"))
    path = endpoint.static_path(file)
    id = Map.get(assigns, :id) || "fly-deploy-" <> name(file)

    commands =
      commands(links(file, prefix(path, file), neighbours(endpoint, file)), path, endpoint.static_url())

    # Another path makes it another element, which is mounted anew.
    values = [escape(id <> "-" <> name(Path.basename(path))), escape(commands)]

    struct(@rendered,
      static: @static,
      dynamic: fn _track? -> values end,
      fingerprint: @fingerprint,
      root: true
    )
  end

  def hot_reload_css(_assigns) do
    raise ArgumentError,
          "hot_reload_css needs the view's socket: <FlyDeploy.Components.hot_reload_css socket={@socket} />"
  end

  defp file("/" <> _ = path), do: path
  defp file(asset), do: "/assets/" <> asset

  # An endpoint may serve its files below a path of its own.
  defp prefix(path, file) do
    case :binary.match(path, Path.rootname(file)) do
      {at, _length} -> binary_part(path, 0, at)
      :nomatch -> ""
    end
  end

  # What `mix phx.digest` makes of app.css is app-DIGEST.css, and of app-dark.css app-dark-DIGEST.css: so files that begin alike are
  # left out by name.
  defp links(file, prefix, neighbours) do
    {stem, ext} = {prefix <> Path.rootname(file), Path.extname(file)}

    for start <- [stem <> "-", stem <> ext] do
      others =
        for other <- neighbours,
            do: ":not([href*=#{quoted(other <> "-")}]):not([href*=#{quoted(other <> ext)}])"

      {start, "[href*=#{quoted(ext)}]" <> Enum.join(others)}
    end
  end

  defp neighbours(endpoint, file) do
    {"/" <> stem, ext} = {Path.rootname(file), Path.extname(file)}

    for {other, _digested} <- endpoint.config(:cache_static_manifest_latest) || %{},
        String.starts_with?(other, stem <> "-") and Path.extname(other) == ext,
        do: "/" <> Path.rootname(other)
  end

  # Pages may name files with the host, for a CDN: then the new one is named so, too. Who has it already must not fetch it again.
  defp commands(links, path, host) do
    ops =
      for {base, at} <- [{path, ""}, {host <> path, host}] do
        to =
          Enum.map_join(links, ",", fn {start, rest} ->
            "link[href^=#{quoted(at <> start)}]#{rest}:not([href=#{quoted(base)}])"
          end)

        ["[\"set_attr\",{\"attr\":[\"href\",", json(base), "],\"to\":", json(to), "}]"]
      end

    IO.iodata_to_binary(["[", Enum.intersperse(ops, ","), "]"])
  end

  defp name(path), do: path |> String.replace(~r"[^A-Za-z0-9]+", "-") |> String.trim("-")

  defp quoted(text), do: "'" <> String.replace(text, ["\\", "'"], &("\\" <> &1)) <> "'"
  defp json(text), do: "\"" <> String.replace(text, ["\\", "\""], &("\\" <> &1)) <> "\""

  defp escape(text) do
    Enum.reduce([{"&", "&amp;"}, {"\"", "&quot;"}, {"<", "&lt;"}, {">", "&gt;"}], text, fn {a, b}, text ->
      String.replace(text, a, b)
    end)
  end
end
