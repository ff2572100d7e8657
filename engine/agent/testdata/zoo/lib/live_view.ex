# Stand-ins for what LiveView keeps to itself, as far as an upgrade relies on it: the same names, records and results. Those with
# prints in the channel's state are 1.1's and 1.2's, those with prints in the socket 1.0's.

defmodule Phoenix.LiveView.Rendered do
  @moduledoc false
  defstruct [:static, :dynamic, :fingerprint, :root]

  def new(static, dynamic),
    do: %__MODULE__{static: static, dynamic: dynamic, fingerprint: :erlang.md5(static)}
end

defmodule Phoenix.LiveView.Component do
  @moduledoc false
  defstruct [:id, :component, :assigns]

  def new(module, id, assigns \\ %{}),
    do: %__MODULE__{component: module, id: id, assigns: Map.put(assigns, :id, id)}
end

defmodule Phoenix.LiveView.Socket do
  @moduledoc false
  defstruct view: nil,
            assigns: %{__changed__: %{}},
            private: %{live_temp: %{}, lifecycle: %{after_render: []}},
            redirected: nil,
            transport_pid: nil
end

defmodule Phoenix.Socket.Message do
  @moduledoc false
  defstruct [:topic, :event, :payload, :ref, :join_ref]
end

defmodule Phoenix.LiveView.Utils do
  @moduledoc false
  def clear_changed(socket), do: put_in(socket.assigns[:__changed__], %{})
  def clear_temp(socket), do: put_in(socket.private[:live_temp], %{})
  def changed?(socket), do: socket.assigns.__changed__ != %{}

  def assign(socket, map),
    do: Enum.reduce(map, socket, fn {key, value}, socket -> assign(socket, key, value) end)

  def assign(%{assigns: assigns} = socket, key, value) do
    case assigns do
      %{^key => ^value} ->
        socket

      _ ->
        %{socket | assigns: assigns |> Map.put(key, value) |> put_in([:__changed__, key], true)}
    end
  end
end

defmodule Phoenix.LiveView.Lifecycle do
  @moduledoc false
  def after_render(%{private: %{lifecycle: %{after_render: hooks}}} = socket),
    do: Enum.reduce(hooks, socket, fn hook, socket -> hook.(socket) end)
end

defmodule Phoenix.LiveView.Renderer do
  @moduledoc false
  def to_rendered(socket, module),
    do: %Phoenix.LiveView.Rendered{} = module.render(Map.put(socket.assigns, :socket, socket))
end

defmodule Phoenix.LiveView.Diff do
  @moduledoc false
  alias Phoenix.LiveView.{Component, Rendered, Renderer, Utils}

  def new_components(next \\ 1), do: {%{}, %{}, next}
  def new_fingerprints, do: {nil, %{}}

  # 1.1 and 1.2. With another root the components are forgotten.
  def render(socket, %Rendered{fingerprint: actual} = rendered, {expected, _}, {_, _, next})
      when expected != nil and expected != actual,
      do: render(socket, rendered, new_fingerprints(), new_components(next))

  def render(socket, rendered, prints, components) do
    {diff, prints, pending, components} = traverse(rendered, prints, components)
    {cdiffs, components} = render_pending(socket, pending, elem(components, 0), %{}, components)
    {diff |> events(cdiffs) |> cdiffs(cdiffs), prints, components}
  end

  # 1.0
  def render(%{fingerprints: prints} = socket, rendered, components) do
    {diff, prints, components} = render(socket, rendered, prints, components)
    {%{socket | fingerprints: prints}, diff, components}
  end

  def write_component(socket, cid, {cids, _, _} = components, fun) do
    case cids do
      %{^cid => {module, id, assigns, private, prints}} ->
        {own, extra} = socket |> for_component(assigns, private) |> fun.(module)

        {pending, cdiffs, components} =
          render_component(own, {module, id, prints, cid, false}, cids, %{}, components)

        {cdiffs, components} = render_pending(socket, pending, cids, cdiffs, components)
        {%{} |> events(cdiffs) |> cdiffs(cdiffs), components, extra}

      %{} ->
        :error
    end
  end

  def render_private(socket, diff),
    do: events(diff, %{e: Enum.reverse(socket.private.live_temp[:push_events] || [])})

  defp events(diff, %{e: [_ | _] = events}), do: Map.update(diff, :e, events, &(&1 ++ events))
  defp events(diff, _cdiffs), do: diff

  defp cdiffs(diff, cdiffs) do
    cdiffs = Map.delete(cdiffs, :e)
    if cdiffs == %{}, do: diff, else: Map.put(diff, :c, cdiffs)
  end

  defp traverse(%Rendered{fingerprint: print} = rendered, prints, components) do
    {known, children} = if match?({^print, _}, prints), do: {true, elem(prints, 1)}, else: {false, %{}}

    acc = {%{}, children, [], components}

    {diff, children, pending, components} =
      rendered.dynamic.(known) |> Enum.with_index() |> Enum.reduce(acc, &traverse_one/2)

    diff = if known, do: diff, else: Map.put(diff, :s, rendered.static)
    {diff, {print, children}, pending, components}
  end

  defp traverse_one({nil, _n}, acc), do: acc

  defp traverse_one({text, n}, {diff, children, pending, components}) when is_binary(text),
    do: {Map.put(diff, n, text), Map.delete(children, n), pending, components}

  defp traverse_one({%Rendered{} = rendered, n}, {diff, children, pending, components}) do
    {inner, print, more, components} = traverse(rendered, children[n], components)
    {Map.put(diff, n, inner), Map.put(children, n, print), pending ++ more, components}
  end

  defp traverse_one({%Component{} = c, n}, {diff, children, pending, {cids, ids, next}}) do
    key = {c.component, c.id}

    {cid, ids, next} =
      if is_map_key(ids, key),
        do: {ids[key], ids, next},
        else: {next, Map.put(ids, key, next), next + 1}

    {Map.put(diff, n, cid), children, pending ++ [{cid, c}], {cids, ids, next}}
  end

  defp render_pending(_socket, [], _old, cdiffs, components), do: {cdiffs, components}

  defp render_pending(
         socket,
         [{cid, %{component: module, id: id} = c} | rest],
         old,
         cdiffs,
         components
       ) do
    {own, prints, new?} =
      case old do
        %{^cid => {_, _, assigns, private, prints}} ->
          {for_component(socket, assigns, Map.delete(private, :marked_for_deletion)), prints, false}

        %{} ->
          {mount(socket, module, cid), new_fingerprints(), true}
      end

    own =
      if function_exported?(module, :update, 2),
        do: ok(module.update(c.assigns, own)),
        else: Utils.assign(own, c.assigns)

    cdiffs = render_private(own, Map.take(cdiffs, [:e])) |> Map.merge(Map.delete(cdiffs, :e))

    {more, cdiffs, components} =
      render_component(own, {module, id, prints, cid, new?}, old, cdiffs, components)

    render_pending(socket, rest ++ more, old, cdiffs, components)
  end

  defp mount(socket, module, cid) do
    private = %{live_temp: %{}, children_cids: [], lifecycle: %{after_render: []}}
    own = for_component(socket, %{myself: cid, flash: %{}}, private)
    if function_exported?(module, :mount, 1), do: ok(module.mount(own)), else: own
  end

  defp ok({:ok, socket}), do: socket

  defp for_component(socket, assigns, private),
    do: %{
      socket
      | assigns: Map.put(assigns, :__changed__, %{}),
        private: private,
        redirected: nil
    }

  defp render_component(
         own,
         {module, id, prints, cid, new?},
         old,
         cdiffs,
         {cids, _, _} = components
       ) do
    if new? or Utils.changed?(own) do
      rendered = Renderer.to_rendered(own, module)
      {linked, prints} = link(rendered.fingerprint, module, prints, old, cids)
      {diff, prints, pending, {cids, ids, next}} = traverse(rendered, prints, components)
      diff = if linked, do: Map.put(diff, :s, linked), else: diff
      own = put_in(own.private[:children_cids], Enum.map(pending, &elem(&1, 0)))

      {pending, Map.put(cdiffs, cid, diff), {Map.put(cids, cid, dump(own, module, id, prints)), ids, next}}
    else
      {_, ids, next} = components
      {[], cdiffs, {Map.put(cids, cid, dump(own, module, id, prints)), ids, next}}
    end
  end

  defp dump(socket, module, id, prints) do
    socket = socket |> Utils.clear_changed() |> Utils.clear_temp()
    {module, id, socket.assigns, socket.private, prints}
  end

  # A component's static parts are those of another one with the same template: of one that the client has (negative), or of one in
  # the same message.
  defp link(print, _module, {print, _} = prints, _old, _now), do: {nil, prints}

  defp link(print, module, prints, old, now) do
    like = fn cids, sign ->
      Enum.find_value(cids, fn {c, e} -> same?(e, module, print) && {sign * c, elem(e, 4)} end)
    end

    like.(old, -1) || like.(now, 1) || {nil, prints}
  end

  defp same?({module, _, _, private, {print, _}}, module, print),
    do: not is_map_key(private, :marked_for_deletion)

  defp same?(_entry, _module, _print), do: false
end

defmodule Phoenix.LiveView.Browser do
  @moduledoc "What the client in the browser makes of diffs: a root with its components. As a process it is a page that is open."

  def start_link, do: spawn_link(fn -> loop(nil) end)
  def encode!(%{event: "diff", payload: diff}), do: {:diff, diff}

  def shown(browser) do
    send(browser, {:shown, self()})
    receive do: ({^browser, text} -> text)
  end

  defp loop(page) do
    receive do
      {:diff, diff} ->
        page |> merge(diff) |> loop()

      {:shown, from} ->
        send(from, {self(), text(page)})
        loop(page)
    end
  end

  def merge(nil, diff), do: merge(%{c: %{}}, diff)

  def merge(page, diff) do
    {cdiffs, diff} = Map.pop(diff, :c, %{})

    components = Map.merge(page.c, Map.new(cdiffs, fn {cid, _} -> {cid, component(cid, cdiffs, page.c)} end))

    root = page |> Map.delete(:c) |> deep(Map.drop(diff, [:e, :t]))
    Map.put(root, :c, components)
  end

  defp component(cid, cdiffs, old) do
    case cdiffs[cid] do
      %{s: other} = diff when is_integer(other) ->
        like = if other > 0, do: component(other, cdiffs, old), else: Map.fetch!(old, -other)
        like |> deep(Map.delete(diff, :s)) |> Map.put(:s, like.s)

      %{s: _} = diff ->
        diff

      diff ->
        deep(Map.fetch!(old, cid), diff)
    end
  end

  defp deep(_old, %{s: _} = new), do: new
  defp deep(%{} = old, %{} = new), do: Map.merge(old, new, fn _, a, b -> deep(a, b) end)
  defp deep(_old, new), do: new

  @doc "The page's text. Raises for a component that the client has not been told of, which is the end of the page."
  def text(%{c: components} = page), do: text(page, components)

  defp text(%{s: [first | rest]} = part, components) do
    rest
    |> Enum.with_index()
    |> Enum.map_join(fn {s, n} -> text(Map.fetch!(part, n), components) <> s end)
    |> then(&(first <> &1))
  end

  defp text(cid, components) when is_integer(cid),
    do: text(Map.fetch!(components, cid), components)

  defp text(text, _components), do: text
end
