defmodule FlyDeployAgent.LiveView.Page do
  @moduledoc """
  Renders an open page with the code that is loaded, inside of the view's own process: root and components in one message, and
  the components keep the states that they have, although LiveView would mount them anew when the root's template has changed.

  The only module that relies on what LiveView keeps to itself: as it looks in 1.0 (prints in the socket, `Diff.render/3`), and
  in 1.1 and 1.2 (prints in the channel's state, `Diff.render/4`). `supported?/0` and `fits?/1` check that before it is used.

  With a new root the client forgets the old components, so everything that is on the page must be in the message, with all of its
  static parts: every print is forgotten first. LiveView renders components along with their parent, after an `update/2`. What
  comes of that is provisional: each component is then rendered once more on its own, after its parent, and that is what is sent.
  """

  alias Phoenix.LiveView.{Diff, Lifecycle, Renderer, Utils}

  # The agent also compiles where there is no LiveView.
  @compile {:no_warn_undefined, [Diff, Lifecycle, Renderer, Utils]}

  @functions [
    {Diff, :write_component, 4},
    {Diff, :render_private, 2},
    {Renderer, :to_rendered, 2},
    {Lifecycle, :after_render, 1},
    {Utils, :clear_changed, 1},
    {Utils, :clear_temp, 1},
    {Phoenix.Socket.Message, :__struct__, 0}
  ]

  # The print of what the client does not know.
  @unprinted {nil, %{}}

  @doc "Whether this VM's LiveView has what is needed. Loads it, for which the window has no time."
  @spec supported?() :: boolean
  def supported? do
    Enum.all?(@functions, fn {module, fun, arity} ->
      Code.ensure_loaded?(module) and function_exported?(module, fun, arity)
    end) and (function_exported?(Diff, :render, 4) or function_exported?(Diff, :render, 3))
  end

  @doc "Whether this is the state of a view that is mounted, in a shape that is known."
  @spec fits?(term) :: boolean
  def fits?(
        %{socket: socket, components: {%{} = cids, %{}, next}, topic: _, join_ref: _, serializer: _} = state
      )
      when is_integer(next),
      do: socket?(socket) and render_arity(state) != nil and Enum.all?(cids, &component?/1)

  def fits?(_state), do: false

  defp socket?(%{
         __struct__: Phoenix.LiveView.Socket,
         assigns: %{__changed__: %{}},
         private: %{live_temp: %{}, lifecycle: _},
         transport_pid: transport,
         redirected: nil
       }),
       do: is_pid(transport)

  defp socket?(_socket), do: false

  defp render_arity(%{fingerprints: {_, %{}}}), do: if(function_exported?(Diff, :render, 4), do: 4)
  defp render_arity(%{socket: %{fingerprints: {_, %{}}}}), do: if(function_exported?(Diff, :render, 3), do: 3)
  defp render_arity(_state), do: nil

  defp component?({cid, {module, _id, %{}, %{}, {_, %{}}}}), do: is_integer(cid) and is_atom(module)
  defp component?(_entry), do: false

  @doc """
  Renders a state that fits. Gives the new state, and the message that the page must get: whom to send it, and what. Raises what
  the page's own code raises.
  """
  @spec render(map) :: {map, {pid, term}}
  def render(%{socket: socket, components: {cids, ids, next}} = state) do
    forced = force(socket)
    rendered = Renderer.to_rendered(forced, socket.view)
    bare = Map.new(cids, fn {cid, entry} -> {cid, bare(entry)} end)
    {forced, state, diff, components} = root(state, forced, rendered, {bare, ids, next})
    {components, diff} = components(forced, cids, bare, components, diff)
    socket = forced |> Lifecycle.after_render() |> Utils.clear_changed()
    diff = Diff.render_private(socket, diff)
    state = %{state | socket: Utils.clear_temp(socket), components: components}
    {state, {socket.transport_pid, encode(state, diff)}}
  end

  defp encode(state, diff) do
    message = [topic: state.topic, event: "diff", payload: diff, join_ref: state.join_ref]
    state.serializer.encode!(struct!(Phoenix.Socket.Message, message))
  end

  defp force(%{assigns: assigns} = socket) do
    keys = assigns |> Map.delete(:__changed__) |> Map.keys()
    %{socket | assigns: %{assigns | __changed__: Map.new(keys, &{&1, true})}}
  end

  defp root(state, socket, rendered, components) do
    case render_arity(state) do
      4 ->
        {diff, prints, components} = Diff.render(socket, rendered, @unprinted, components)
        {socket, %{state | fingerprints: prints}, diff, components}

      3 ->
        {socket, diff, components} = Diff.render(%{socket | fingerprints: @unprinted}, rendered, components)

        {socket, state, diff, components}
    end
  end

  # A component that the client may be about to give up (marked_for_deletion) is on the page again if it is rendered. Whoever is
  # rendered has assigns with __changed__ afterwards.
  defp bare({module, id, assigns, private, _prints}),
    do: {module, id, Map.delete(assigns, :__changed__), Map.delete(private, :marked_for_deletion), @unprinted}

  # -- components
  #
  # `old` are those that were there before, bare; `table` is what LiveView works on: final entries, or bare ones; `made` is what a
  # provisional rendering made of a component's assigns, `children` whom it contains; `final` holds the diffs.

  defp components(socket, cids, bare, {table, ids, next}, diff) do
    {provisional, diff} = Map.pop(diff, :c, %{})
    as_kept = Enum.all?(provisional, fn {cid, _} -> as_kept?(bare[cid], table[cid]) end)

    page = %{
      socket: socket,
      old: bare,
      ids: ids,
      next: next,
      table: table,
      made: %{},
      children: %{},
      final: if(as_kept, do: provisional, else: %{}),
      events: []
    }

    page = page |> absorb(table, Map.keys(table)) |> finish()
    # Those that are not on the page stay as they were, until the client tells that it has forgotten them.
    table = Map.new(page.table, fn {cid, entry} -> {cid, if(page.final[cid], do: entry, else: cids[cid])} end)
    diff = if page.events == [], do: diff, else: Map.update(diff, :e, page.events, &(&1 ++ page.events))
    diff = if page.final == %{}, do: diff, else: Map.put(diff, :c, page.final)
    {{table, page.ids, page.next}, diff}
  end

  # Whether update/2 has made of a component what it is to be anyway. Mostly so, and then it need not be rendered again; but only if it is
  # so for all: some share their static parts.
  defp as_kept?(nil, _made), do: true

  defp as_kept?({_, _, had, _, _}, {_, _, made, _, _}) do
    Enum.all?(had, fn {key, value} ->
      case made do
        %{^key => other} -> kept(key, other, value) == other
        %{} -> false
      end
    end)
  end

  # What a rendering of those left in the table. Of what is provisional it is only remembered what was made, and who is within whom.
  defp absorb(page, table, cids) do
    Enum.reduce(cids, page, fn cid, page ->
      case table[cid] do
        {_, _, %{__changed__: _} = made, private, _} = entry when not is_map_key(page.final, cid) ->
          %{
            page
            | table: Map.put(page.table, cid, page.old[cid] || bare(entry)),
              made: Map.put(page.made, cid, made),
              children: Map.put(page.children, cid, private[:children_cids] || [])
          }

        _final_or_unseen ->
          page
      end
    end)
  end

  # Parents first, as they pass on slots.
  defp finish(page) do
    case for {cid, _} <- page.made, not is_map_key(page.final, cid), do: cid do
      [] ->
        page

      waiting ->
        inner = MapSet.new(Enum.flat_map(waiting, &page.children[&1]))
        outer = Enum.reject(waiting, &(&1 in inner))
        if(outer == [], do: waiting, else: outer) |> Enum.sort() |> Enum.reduce(page, &finish/2) |> finish()
    end
  end

  defp finish(cid, page) do
    {diff, {table, ids, next}} = write(page, cid)
    rendered = Map.get(diff, :c, %{})
    own = Map.get(rendered, cid, %{})

    absorb(
      %{
        page
        | ids: ids,
          next: next,
          table: Map.put(page.table, cid, table[cid]),
          final: Map.put(page.final, cid, linked(own)),
          events: page.events ++ Map.get(diff, :e, [])
      },
      table,
      within(cid, table, rendered)
    )
  end

  # Of those that have not been rendered now it is not known whom they contain.
  defp within(cid, table, rendered) when is_map_key(rendered, cid) do
    {_, _, _, private, _} = table[cid]
    for child <- private.children_cids, inner <- [child | within(child, table, rendered)], do: inner
  end

  defp within(_cid, _table, _rendered), do: []

  # With the state that it has, what it did not have before, and the new slots: the functions in the old ones belong to the parent's
  # old code. Where the new code cannot render that, with what update/2 made of it.
  defp write(page, cid) do
    made = page.made[cid]

    case page.old do
      %{^cid => {_, _, assigns, _, _}} ->
        try do
          write(page, cid, Map.merge(made, assigns, &kept/3))
        rescue
          _ -> write(page, cid, made)
        end

      _new ->
        write(page, cid, made)
    end
  end

  defp write(%{table: table} = page, cid, assigns) do
    components = {Map.update!(table, cid, &put_elem(&1, 2, assigns)), page.ids, page.next}

    {diff, components, :ok} =
      Diff.write_component(page.socket, cid, components, fn socket, _ -> {force(socket), :ok} end)

    {diff, components}
  end

  defp kept(_key, made, had), do: if(slot?(made) or slot?(had), do: made, else: had)

  defp slot?([%{__slot__: _} | _]), do: true
  defp slot?(_value), do: false

  # The static parts of another component with the same template: one that LiveView takes for known to the client (negative) is
  # in this same message (positive), as those that are not have no prints.
  defp linked(%{s: cid} = diff) when is_integer(cid) and cid < 0, do: %{diff | s: -cid}
  defp linked(diff), do: diff
end
