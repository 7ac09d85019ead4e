"""A page in headless Chromium, used like a user would: sizes, colours, languages, mouse, wheel, fingers, keys.

The DevTools protocol goes over a pipe, so no network and no packages are needed.
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
FLAGS = (
    '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking '
    '--disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-pipe'
).split()
CTRL = 2  # the bit of the Ctrl key in the protocol


class Browser:
    """A tab. wrong: errors of the page, including missing files; requested: addresses that the page requested."""

    def __init__(self, to_browser, from_browser):
        self._to, self._from = to_browser, from_browser
        self._number, self._session, self._rest = 0, None, b''
        self.wrong, self.requested = [], []
        target = self.send('Target.createTarget', url='about:blank')['targetId']
        self._session = self.send('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.send(domain + '.enable')

    def send(self, method, **parameters):
        """Call a method of the protocol, and return its result."""
        self._number += 1
        message = {'id': self._number, 'method': method, 'params': parameters}
        if self._session:
            message['sessionId'] = self._session
        self._to.write(json.dumps(message).encode() + b'\0')
        self._to.flush()
        while True:
            answer = self._receive()
            if answer.get('id') == self._number:
                assert 'error' not in answer, (method, answer['error'])
                return answer['result']

    def _receive(self):
        while b'\0' not in self._rest:
            data = os.read(self._from.fileno(), 1 << 20)
            assert data, 'the browser has ended'
            self._rest += data
        message, self._rest = self._rest.split(b'\0', 1)
        answer = json.loads(message.decode())
        parameters = answer.get('params', {})
        if answer.get('method') == 'Network.requestWillBeSent':
            self.requested.append(parameters['request']['url'])
        elif answer.get('method') == 'Runtime.exceptionThrown':
            self.wrong.append(parameters['exceptionDetails'])
        elif answer.get('method') == 'Log.entryAdded':
            self.wrong.append(parameters['entry']['text'])
        return answer

    def emulate(self, width, height, pixel_ratio=1, is_phone=False, scheme='light', language='en-US'):
        """Set the screen (CSS pixels, and device pixels per CSS pixel), the colours (light or dark), and the language."""
        self.send(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=pixel_ratio,
            mobile=is_phone,
        )
        self.send('Emulation.setTouchEmulationEnabled', enabled=is_phone)
        self.send('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}])
        agent = self.send('Runtime.evaluate', expression='navigator.userAgent')['result']['value']
        self.send('Emulation.setUserAgentOverride', userAgent=agent, acceptLanguage=language)

    def open(self, path):
        """Load a file; return after its load event and a drawn frame."""
        self.send('Page.navigate', url=path if '://' in path else 'file://' + path)
        self.run(
            'new Promise(done => document.readyState === "complete" ? done() : addEventListener("load", () => done()))'
        )
        self.settle()

    def run(self, expression):
        """Return the value of a JavaScript expression; a promise is awaited."""
        answer = self.send('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        assert 'exceptionDetails' not in answer, answer['exceptionDetails']
        return answer['result'].get('value')

    def settle(self):
        """Wait until changes are drawn, observers were called, and requested images are loaded."""
        self.run(
            'new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))'
            '.then(() => Promise.all([...document.images].filter(image => image.src && image.loading !== "lazy")'
            '.map(image => image.decode().catch(() => {}))))'
        )

    def mouse(self, kind, x, y, **parameters):
        """Send a mouse event; `kind`: mousePressed, mouseMoved, mouseReleased or mouseWheel."""
        self.send('Input.dispatchMouseEvent', type=kind, x=x, y=y, **parameters)

    def drag(self, x0, y0, x1, y1, **parameters):
        """Press the left button at one point, and release it at the other."""
        self.mouse('mousePressed', x0, y0, button='left', buttons=1, clickCount=1, **parameters)
        self.mouse('mouseMoved', x1, y1, button='left', buttons=1, **parameters)
        self.mouse('mouseReleased', x1, y1, button='left', clickCount=1, **parameters)
        self.settle()

    def wheel(self, x, y, delta, modifiers=0):
        self.mouse('mouseWheel', x, y, deltaX=0, deltaY=delta, modifiers=modifiers)
        self.settle()

    def touch(self, *frames):
        """Move fingers; each of `frames` has the points (x, y) of the fingers that are down."""
        kind = 'touchStart'
        for points in frames:
            self.send(
                'Input.dispatchTouchEvent',
                type=kind,
                touchPoints=[{'x': x, 'y': y, 'id': finger} for finger, (x, y) in enumerate(points)],
            )
            kind = 'touchMove'
        self.send('Input.dispatchTouchEvent', type='touchEnd', touchPoints=[])
        self.settle()

    def key(self, key):
        """Press a key, by its DOM name."""
        text = {'text': key} if len(key) == 1 else {}
        self.send('Input.dispatchKeyEvent', type='keyDown', key=key, **text)
        self.send('Input.dispatchKeyEvent', type='keyUp', key=key)

    def screenshot(self, path):
        """Save a screenshot as a PNG."""
        with open(path, 'wb') as file:
            file.write(base64.b64decode(self.send('Page.captureScreenshot', format='png')['data']))


@contextlib.contextmanager
def opened(profile, *flags):
    """Start Chromium with a folder for its profile, and yield a Browser."""
    to_child, from_parent = os.pipe()
    to_parent, from_child = os.pipe()

    def place_pipes():  # the protocol uses descriptors 3 and 4; copies first, so that neither pipe is overwritten
        a, b = os.dup(to_child), os.dup(from_child)
        os.dup2(a, 3)
        os.dup2(b, 4)

    process = subprocess.Popen(
        [str(CHROMIUM), *FLAGS, f'--user-data-dir={profile}', *flags, 'about:blank'],
        preexec_fn=place_pipes,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_child)
    os.close(from_child)
    with open(from_parent, 'wb') as to_browser, open(to_parent, 'rb') as from_browser:
        try:
            yield Browser(to_browser, from_browser)
        finally:
            process.terminate()
            process.wait()
