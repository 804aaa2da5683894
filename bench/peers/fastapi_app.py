"""A chat like the one that mosquitto-chat replaces: FastAPI, one dictionary of connections, and a loop that awaits
send_text for everybody else. Written anew for the comparison; run by uvicorn (bench/comparison/servers.py)."""

import json

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
rooms = {}


@app.websocket("/ws/{user}")
async def chat(websocket: WebSocket, user: str, room: str = "general"):
    await websocket.accept()
    members = rooms.setdefault(room, {})
    members[user] = websocket
    try:
        while True:
            message = json.loads(await websocket.receive_text())["message"]
            frame = json.dumps({"sender": user, "message": message})
            for name, member in list(members.items()):
                if name != user:
                    await member.send_text(frame)
    except WebSocketDisconnect:
        pass
    finally:
        members.pop(user, None)
